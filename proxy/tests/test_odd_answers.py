"""Providers whose answers have another shape than OpenAI's: never a 500, never a stream without an honest end."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from accounts.ledger import keys
from accounts.redis import sync_client
from conftest import Cast, Catalogue, LiveGateway, wait_until
from proxy.models import Usage
from proxy.tests.conftest import Site
from proxy.tests.fake_provider import FakeProvider, answer, chunk, chunks, completion, stream, text

ODD: list[Any] = [None, True, -1, 1.5, 2**64 - 1, "", "x", [], {}, [[]], [{}], {"a": {}}]
# Where an odd value stands in a completion.
PLACES: list[tuple[str | int, ...]] = [
    ("choices",),
    ("choices", 0),
    ("choices", 0, "message"),
    ("choices", 0, "message", "content"),
    ("choices", 0, "message", "tool_calls"),
    ("choices", 0, "finish_reason"),
    ("choices", 0, "index"),
    ("usage",),
    ("usage", "prompt_tokens"),
    ("usage", "prompt_tokens_details"),
    ("error",),
    ("error", "code"),
    ("error", "message"),
    ("model",),
]
# What the gateway may make of it: pass it on, or call it a failed attempt.
HONEST = {200, 400, 429, 502}


def ask(site: Site, *, streaming: bool = False) -> httpx.Response:
    body = {"model": "fake/one", "messages": [{"role": "user", "content": "Hi"}], "stream": streaming}
    headers = {**site.cast.alice.headers, "Cache-Control": "no-store"}
    return site.http.post("/v1/chat/completions", json=body, headers=headers)


def put(data: Any, place: tuple[str | int, ...], value: Any) -> Any:
    """The same answer, with a value at a place."""
    *path, last = place
    inner = data
    for step in path:
        inner = inner.setdefault(step, {}) if isinstance(inner, dict) else inner[step]
    inner[last] = value
    return data


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
@pytest.mark.parametrize("content", ["Hello", ""])
def test_an_odd_completion_is_passed_on_or_failed(content: str, place: tuple[str | int, ...], site: Site):
    for value in ODD:
        site.provider.on("one", answer(put(completion(content), place, value)))
        assert ask(site).status_code in HONEST, value


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_odd_stream_is_passed_on_or_ends_honestly(at: int, place: tuple[str | int, ...], site: Site):
    inside = tuple("delta" if step == "message" else step for step in place)
    for value in ODD:
        events = chunks("Hel", "lo")
        put(events[at], inside, value)
        site.provider.on("one", stream(events))
        response = ask(site, streaming=True)
        assert response.status_code in HONEST, value
        ending = response.text.splitlines()[-2:] if response.status_code == 200 else []
        assert not ending or ending[0] == "data: [DONE]" or "error" in json.loads(ending[0].removeprefix("data: "))


def nested(levels: int) -> list[Any]:
    return [nested(levels - 1)] if levels else []


def test_an_answer_that_is_nested_too_deeply_is_a_failed_attempt(site: Site):
    """orjson reads more levels than it writes: what could not be stored, or told as a stream, is not taken."""
    site.provider.on("one", answer(put(completion("Hello"), ("choices", 0, "message", "annotations"), nested(300))))
    refused = ask(site)
    assert refused.status_code == 502
    assert refused.json()["error"]["attempts"][0]["code"] == "malformed_answer"


@pytest.mark.parametrize(("at", "status"), [(0, 502), (2, 200)])
def test_a_stream_that_is_nested_too_deeply_breaks_off(at: int, status: int, site: Site):
    events = chunks("Hel", "lo")
    put(events[at], ("choices", 0, "delta", "annotations"), nested(300))
    site.provider.on("one", stream(events, pause_s=0.02))
    response = ask(site, streaming=True)
    assert response.status_code == status
    assert "malformed" in response.text
    assert "[DONE]" not in response.text


@pytest.mark.parametrize("code", [[], {}, [{}], 2.5, True])
def test_an_odd_error_in_mid_stream_is_told(code: Any, site: Site):
    broken = {"error": {"message": "No.", "code": code}}
    site.provider.on("one", stream([chunk({"content": "Hel"}), broken], pause_s=0.02))
    last = ask(site, streaming=True).text.split("data: ")[-1]
    assert json.loads(last)["error"]["type"] == "upstream_error"


@pytest.mark.parametrize("count", [2**63, 2**64 - 1])
def test_token_counts_beyond_reason_are_settled_and_recorded(
    count: int, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider,
    recorded: Callable[[int], list[Usage]],
):  # fmt: skip
    catalogue.model("fake/one")
    usage = {"prompt_tokens": count, "completion_tokens": count, "total_tokens": count}
    provider.on("one", text("Hello", usage=usage))
    body = {"model": "fake/one", "messages": [{"role": "user", "content": "Hi"}]}
    response = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=cast.alice.headers)
    assert response.status_code == 200
    [row] = recorded(1)
    assert row.prompt_tokens == row.completion_tokens > 10**6
    reservation = keys.reservation(row.request_id)
    wait_until(lambda: not sync_client().exists(reservation), "the reservation to be settled")
