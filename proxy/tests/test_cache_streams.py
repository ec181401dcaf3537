"""Cached answers for callers who asked for a stream."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from conftest import Cast, Catalogue, LiveGateway, Member
from proxy.models import ModelChain, Usage
from proxy.tests.fake_provider import FakeProvider, answer, chunks, completion, stream, text

MESSAGES: Any = [{"role": "user", "content": "Hi"}]
CALLS = [
    {"id": f"call_{place}", "type": "function", "function": {"name": "weather", "arguments": f'{{"day": {place}}}'}}
    for place in range(2)
]
WORD = {"token": "Hello", "logprob": -0.5, "bytes": None, "top_logprobs": []}


@pytest.fixture(autouse=True)
def _one_chain(catalogue: Catalogue, provider: FakeProvider) -> None:
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"), cache_streams=True)
    provider.on("one", text("Kept"), stream(chunks("Fresh")))


def ask(
    gateway: LiveGateway, member: Member, headers: dict[str, str] | None = None, **fields: object
) -> httpx.Response:
    body = {"model": "chain", "messages": MESSAGES, **fields}
    sent = {**member.headers, **(headers or {})}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=sent, timeout=20)


def events(stream: str) -> list[str]:
    """The data of each event."""
    return [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]


def said(response: httpx.Response) -> str:
    """What a stream says, put together."""
    *told, done = events(response.text)
    assert done == "[DONE]"
    deltas = [choice["delta"] for event in told for choice in json.loads(event)["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def test_a_cached_answer_is_streamed_and_costs_nothing(
    gateway: LiveGateway, cast: Cast, provider: FakeProvider, recorded: Callable[..., list[Usage]]
):
    ask(gateway, cast.alice)
    hit = ask(gateway, cast.bob, stream=True)
    assert hit.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (hit.headers["x-gateway-cache"], hit.headers["x-gateway-model"]) == ("hit", "fake/one")
    assert int(hit.headers["age"]) >= 0
    assert said(hit) == "Kept"
    assert len(provider.received) == 1
    row = recorded(2)[1]
    assert (row.status, row.streamed, row.total_tokens, row.cost_microusd) == ("cached", True, 0, 0)


def test_only_chains_that_say_so_answer_streams_from_the_cache(gateway: LiveGateway, cast: Cast):
    chain = ModelChain.objects.get(name="chain")
    chain.cache_streams = False
    chain.save()
    ask(gateway, cast.alice)
    fresh = ask(gateway, cast.alice, stream=True)
    assert (fresh.headers["x-gateway-cache"], said(fresh)) == ("bypass", "Fresh")


def test_the_usage_comes_only_if_it_is_asked_for(gateway: LiveGateway, cast: Cast):
    ask(gateway, cast.alice)
    plain = ask(gateway, cast.alice, stream=True)
    counted = ask(gateway, cast.alice, stream=True, stream_options={"include_usage": True})
    assert counted.headers["x-gateway-cache"] == "hit"
    assert "usage" not in plain.text
    last = json.loads(events(counted.text)[-2])
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 10)


def test_a_streamed_answer_is_not_kept(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    provider.on("one", stream(chunks("First")), text("Second"))
    assert ask(gateway, cast.alice, stream=True).headers["x-gateway-cache"] == "miss"
    later = ask(gateway, cast.alice)
    assert (later.headers["x-gateway-cache"], later.json()["choices"][0]["message"]["content"]) == ("miss", "Second")


@pytest.mark.parametrize("directive", ["no-cache", "no-store"])
def test_a_caller_may_ask_for_a_fresh_stream(directive: str, gateway: LiveGateway, cast: Cast):
    ask(gateway, cast.alice)
    fresh = ask(gateway, cast.alice, {"Cache-Control": directive}, stream=True)
    assert (fresh.headers["x-gateway-cache"], said(fresh)) == ("bypass", "Fresh")


def test_another_tenant_never_sees_the_answer(gateway: LiveGateway, cast: Cast):
    ask(gateway, cast.alice)
    others = ask(gateway, cast.charlie, stream=True)
    assert (others.headers["x-gateway-cache"], said(others)) == ("miss", "Fresh")


SAID = {
    "a text": completion("Hello"),
    "a refusal": completion(None, message={"refusal": "I will not."}),
    "tool calls": completion(None, message={"tool_calls": CALLS}, choice={"finish_reason": "tool_calls"}),
    "a text with tool calls": completion(
        "Look:", message={"tool_calls": CALLS[:1]}, choice={"finish_reason": "tool_calls"}
    ),
    "probabilities": completion("Hello", choice={"logprobs": {"content": [WORD], "refusal": None}}),
    "several choices": completion(
        choices=[
            {"index": place, "message": {"role": "assistant", "content": word}, "finish_reason": "stop"}
            for place, word in enumerate(("One", "Two"))
        ]
    ),
    "fields of its own": completion("Hello", message={"reasoning_content": "Hm."}, system_fingerprint="fp_1"),
}


@pytest.mark.parametrize("kept", SAID.values(), ids=SAID.keys())
def test_the_sdk_reads_the_stream_as_the_answer_itself(
    kept: dict[str, Any], gateway: LiveGateway, cast: Cast, provider: FakeProvider
):
    provider.on("one", answer(kept))
    client = gateway.sdk(cast.alice)
    whole = client.chat.completions.create(model="chain", messages=MESSAGES)
    with client.chat.completions.stream(
        model="chain", messages=MESSAGES, stream_options={"include_usage": True}
    ) as told:
        streamed = told.get_final_completion()
    assert told._response.headers["x-gateway-cache"] == "hit"
    assert _comparable(streamed.to_dict()) == _comparable(whole.to_dict())


def _comparable(value: Any) -> Any:
    """Without nulls, and what the SDK puts into answers that it put together: parsed texts, the places of calls."""
    if isinstance(value, dict):
        kept = ((name, _comparable(item)) for name, item in value.items() if name not in {"parsed", "parsed_arguments"})
        return {name: item for name, item in kept if item is not None and item != []}
    if isinstance(value, list):
        return [_without_place(_comparable(item)) for item in value]
    return value


def _without_place(item: Any) -> Any:
    is_call = isinstance(item, dict) and "function" in item
    return {name: value for name, value in item.items() if name != "index"} if is_call else item
