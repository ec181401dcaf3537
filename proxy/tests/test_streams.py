"""Streamed answers: what passes through, what the gateway adds, and how an answer ends."""

import json
from collections.abc import Callable, Sequence

import httpx
import pytest

from conftest import Cast, Catalogue, LiveGateway
from proxy.meter import Meter
from proxy.models import Usage
from proxy.tests.fake_provider import Behaviour, FakeProvider, chunk, chunks, stream, then_hang
from proxy.upstreams import Event

MESSAGES = [{"role": "user", "content": "Hi"}]


def read_stream(
    gateway: LiveGateway, cast: Cast, model: str = "fake/one", headers: dict[str, str] | None = None, **fields: object
):
    """The response and its `data:` payloads."""
    body = {"model": model, "messages": MESSAGES, "stream": True, **fields}
    sent = {**cast.alice.headers, **(headers or {})}
    response = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=sent, timeout=20)
    return response, [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]


def said(data: list[str]) -> str:
    events = [json.loads(item) for item in data if item != "[DONE]"]
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event.get("choices", []))


def test_bytes_pass_through_untouched(gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider):
    catalogue.model("fake/one")
    odd = b'data: {"choices": [{"index":0,  "delta":{"content":"\\u00e9t\xc3\xa9", "new_field": 1.50}}], "x": null}\n\n'
    provider.on("one", stream([b": thinking\n\n", odd, chunk({}, "stop")]))
    response, _ = read_stream(gateway, cast)
    assert b": thinking\n\n" + odd in response.content
    assert response.content.endswith(b"data: [DONE]\n\n")
    assert response.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("ending", [{"done": True}, {"done": False}], ids=["with [DONE]", "without [DONE]"])
def test_a_whole_answer_ends_with_done(
    ending: dict[str, bool], gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.model("fake/one")
    provider.on("one", stream(chunks("Hel", "lo"), **ending))
    _, data = read_stream(gateway, cast)
    assert said(data) == "Hello"
    assert data[-1] == "[DONE]"
    assert data.count("[DONE]") == 1


def test_the_usage_chunk_comes_only_when_asked_for(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.model("fake/one")
    provider.on("one", stream(chunks("Hello")))
    _, without = read_stream(gateway, cast)
    _, asked = read_stream(gateway, cast, stream_options={"include_usage": True})
    assert not any('"usage": {' in item for item in without)
    assert json.loads(asked[-2])["usage"]["total_tokens"] == 10
    assert [body["stream_options"] for body in provider.bodies("one")] == [{"include_usage": True}] * 2


HEL = chunks("Hel", "lo")[:2]
# The pauses keep the failure out of the read that brings the first content: together they would fall back.
CUTS = {
    "the connection breaks": stream(HEL, pause_s=0.05, cut=True),
    "the body ends without a finish_reason": stream(HEL, pause_s=0.05, done=False),
    "[DONE] comes without a finish_reason": stream(HEL, pause_s=0.05, done=True),
    "an error event comes": stream([*HEL, {"error": {"message": "Boom", "code": "server_error"}}], pause_s=0.05),
    "garbage comes": stream([*HEL, b"data: {oops\n\n"], pause_s=0.05),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
def test_a_cut_answer_ends_honestly_when(
    cut: Behaviour, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", cut)
    response, data = read_stream(gateway, cast, "chain")
    assert response.status_code == 200
    assert "[DONE]" not in data
    error = json.loads(data[-1])["error"]
    assert (error["type"], error["request_id"]) == ("upstream_error", response.headers["x-request-id"])
    assert error["attempts"][0]["model"] == "fake/one"
    assert said(data[:-1]) == "Hel"
    assert provider.bodies("two") == []


def test_a_stalled_answer_ends_honestly(gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider):
    catalogue.chain("chain", {"model": catalogue.model("fake/one"), "stall_timeout_s": 0.3})
    provider.on("one", then_hang(HEL))
    _, data = read_stream(gateway, cast, "chain")
    assert json.loads(data[-1])["error"]["code"] == "stalled"
    assert provider.received[0].hung_up.wait(2)


@pytest.mark.parametrize("by", ["chain", "header"])
def test_a_guarded_stream_falls_back_even_in_mid_answer(
    by: str, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    guard = {"stream_guard": "buffered"} if by == "chain" else {}
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"), **guard)
    provider.on("one", stream(HEL, cut=True))
    provider.on("two", stream(chunks("Who", "le")))
    headers = {"x-gateway-stream-guard": "buffered"} if by == "header" else {}
    response, data = read_stream(gateway, cast, "chain", headers)
    assert said(data) == "Whole"
    assert data[-1] == "[DONE]"
    assert response.headers["x-gateway-model"] == "fake/two"


def test_comments_keep_a_quiet_answer_alive(
    settings, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    settings.GATEWAY_KEEP_ALIVE_S = 0.05
    catalogue.model("fake/one")
    provider.on("one", stream(chunks("Hel", "lo"), pause_s=0.2))
    response, data = read_stream(gateway, cast)
    assert b": keep-alive\n\n" in response.content
    assert said(data) == "Hello"


def test_all_choices_must_finish(gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider):
    catalogue.model("fake/one")
    second = {"choices": [{"index": 1, "delta": {"content": "B"}, "finish_reason": None}]}
    provider.on("one", stream([chunk({"content": "A"}), second, chunk({}, "stop")]))
    _, data = read_stream(gateway, cast, n=2)
    assert "error" in json.loads(data[-1])


def test_an_answer_cut_short_by_its_own_limit_is_whole(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.model("fake/one")
    provider.on("one", stream([chunk({"role": "assistant"}), chunk({}, "length")]))
    response, data = read_stream(gateway, cast, max_tokens=1)
    assert (response.status_code, data[-1]) == (200, "[DONE]")


def test_the_first_words_come_before_the_last_are_written(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.model("fake/one")
    provider.on("one", then_hang(HEL))
    body = {"model": "fake/one", "messages": MESSAGES, "stream": True}
    with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=body, headers=cast.alice.headers) as response:
        lines = response.iter_lines()
        assert any("Hel" in line for line in lines)  # the provider is still silent: nothing was held back


def test_a_stream_carries_the_gateways_headers(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.model("fake/one")
    provider.on("one", stream(chunks("Hello")))
    response, _ = read_stream(gateway, cast)
    assert response.headers["x-request-id"].startswith("req_")
    assert response.headers["x-gateway-model"] == "fake/one"
    assert response.headers["x-gateway-provider"] == "fake"
    assert "x-gateway-cost-usd" not in response.headers


def test_a_mistake_of_ours_in_mid_answer_ends_honestly(
    monkeypatch: pytest.MonkeyPatch, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider,
    recorded: Callable[[int], list[Usage]],
):  # fmt: skip
    def feed(meter: Meter, events: Sequence[Event]) -> None:
        if meter.has_content:
            raise ZeroDivisionError("ours")
        usual(meter, events)

    usual = Meter.feed
    monkeypatch.setattr(Meter, "feed", feed)
    catalogue.model("fake/one")
    provider.on("one", stream(chunks("Hel", "lo"), pause_s=0.05))
    response, data = read_stream(gateway, cast)
    assert said(data[:-1]) == "Hel"
    error = json.loads(data[-1])["error"]
    assert (error["type"], error["code"]) == ("gateway_error", "internal_error")
    assert error["request_id"] == response.headers["x-request-id"]
    assert "ours" not in response.text
    assert recorded(1)[0].status == "failed"
