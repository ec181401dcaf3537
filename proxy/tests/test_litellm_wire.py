"""Anthropic's Messages API behind OpenAI's: what Anthropic is sent, and what comes out."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import orjson
import pytest

from proxy.tests.vendors import anthropic, mistral
from proxy.tests.vendors.reading import Heard, listen
from proxy.tests.vendors.server import Ending, Hang, Vendor
from proxy.upstreams.base import Target, TokenCount
from proxy.upstreams.failures import ConnectionBroken, ServerError, StreamCut
from proxy.upstreams.litellm_wire import LitellmWire

KEY = "sk-ant-api03-only-for-tests"
HELLO: dict[str, Any] = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "Hello"}]}
WEATHER_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER_TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather in a city.", "parameters": WEATHER_SCHEMA},
}
SECOND = 1.0


@pytest.fixture
def target(vendor: Vendor) -> Target:
    return Target(
        provider="anthropic",
        kind="anthropic",
        wire="litellm",
        base_url=vendor.url,
        api_key=KEY,
        model="claude-haiku-4-5",
    )


async def test_an_answer_has_openais_shape_and_nothing_of_litellms(wire: LitellmWire, vendor: Vendor, target: Target):
    usage = {"input_tokens": 20, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 5, "output_tokens": 7}
    vendor.reply = anthropic.message(anthropic.text("Hello to you."), usage=usage)

    answer = await wire.complete(target, HELLO)

    assert orjson.loads(answer.raw) == answer.data
    assert answer.data["object"] == "chat.completion"
    assert answer.data["id"].startswith("chatcmpl-")
    assert answer.data["model"] == anthropic.MODEL
    assert answer.data["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello to you."},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ]
    assert answer.tokens == TokenCount(prompt=25, completion=7, cached=5)
    assert not [name for name in answer.data if name.startswith("_")]


async def test_a_request_is_translated(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.message(anthropic.text("Ok."))
    system, user = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}

    await wire.complete(
        target,
        {"messages": [system, user], "max_tokens": 99, "temperature": 0.5, "stop": "END", "tools": [WEATHER_TOOL]},
    )

    assert vendor.request.path == "/v1/messages"
    assert vendor.request.headers["x-api-key"] == KEY
    assert vendor.request.headers["anthropic-version"] == "2023-06-01"
    body = vendor.request.body
    assert body["model"] == "claude-haiku-4-5"
    assert body["system"] == [{"type": "text", "text": "Be brief."}]
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    assert (body["max_tokens"], body["temperature"], body["stop_sequences"]) == (99, 0.5, ["END"])
    (tool,) = body["tools"]
    assert (tool["name"], tool["input_schema"]) == ("get_weather", WEATHER_SCHEMA)


async def test_tool_calls_go_both_ways(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.message(
        anthropic.text("Let me see."), anthropic.tool_use("get_weather", {"city": "Paris"}), stop_reason="tool_use"
    )
    first = await wire.complete(target, {**HELLO, "tools": [WEATHER_TOOL]})
    message = first.data["choices"][0]["message"]
    (call,) = message["tool_calls"]

    assert first.data["choices"][0]["finish_reason"] == "tool_calls"
    assert (call["type"], call["function"]["name"]) == ("function", "get_weather")
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}

    result = {"role": "tool", "tool_call_id": call["id"], "content": "Sunny, 21 °C"}
    await wire.complete(target, {"messages": [*HELLO["messages"], message, result], "tools": [WEATHER_TOOL]})

    _, asked, answered = vendor.received[1].body["messages"]
    assert asked["content"][-1] == anthropic.tool_use("get_weather", {"city": "Paris"}, call["id"])
    assert answered["content"] == [{"type": "tool_result", "tool_use_id": call["id"], "content": "Sunny, 21 °C"}]


async def test_content_is_null_where_there_are_only_tool_calls(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.message(anthropic.tool_use("get_weather", {"city": "Paris"}), stop_reason="tool_use")

    answer = await wire.complete(target, {**HELLO, "tools": [WEATHER_TOOL]})

    assert answer.data["choices"][0]["message"]["content"] is None


async def test_fields_that_openai_does_not_know_reach_the_provider(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.message(anthropic.text("Ok."))

    await wire.complete(target, {**HELLO, "top_k": 5, "container": "container_1", "inference_geo": {"only": "eu"}})

    body = vendor.request.body
    assert (body["top_k"], body["container"], body["inference_geo"]) == (5, "container_1", {"only": "eu"})


async def test_fields_that_the_provider_does_not_know_are_left_out(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.message(anthropic.text("Ok."))

    await wire.complete(target, {**HELLO, "seed": 7, "logit_bias": {"1": 2}, "store": True, "metadata": {"a": "b"}})

    assert not {"seed", "logit_bias", "store", "metadata"} & vendor.request.body.keys()


async def test_no_field_of_a_caller_steers_litellm(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.message(anthropic.text("The model's own words."))
    hostile = {
        "mock_response": "forged",
        "api_base": "http://127.0.0.1:9",
        "base_url": "http://127.0.0.1:9",
        "api_key": "another",
        "custom_llm_provider": "openai",
        "fallbacks": ["gpt-4o"],
        "extra_headers": {"x-api-key": "another"},
        "num_retries": 5,
        "timeout": 0.001,
    }

    answer = await wire.complete(target, {**HELLO, **hostile})

    assert answer.data["choices"][0]["message"]["content"] == "The model's own words."
    assert vendor.request.headers["x-api-key"] == KEY


async def test_what_litellm_wrote_wins_over_a_field_of_the_same_name(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.message(anthropic.text("Ok."))

    await wire.complete(target, {**HELLO, "max_tokens": 5, "stop_sequences": ["A"], "stop": ["B"], "system": "Mine."})

    assert vendor.request.body["stop_sequences"] == ["B"]
    assert vendor.request.body["system"] == "Mine."


async def test_the_callers_body_stays_as_it_is(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.message(anthropic.text("Ok."))
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    ]
    body = {"messages": messages, "tools": [WEATHER_TOOL], "stop": "END"}
    before = json.dumps(body)

    await wire.complete(target, body)

    assert json.dumps(body) == before


async def test_a_stream_is_openais_chunks(wire: LitellmWire, vendor: Vendor, target: Target):
    usage = {"input_tokens": 20, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 5, "output_tokens": 7}
    vendor.reply = anthropic.stream(anthropic.text("Hello to you"), usage=usage)

    heard = await listen(wire.stream(target, HELLO))

    assert vendor.request.body["stream"] is True
    assert heard.text == "Hello to you"
    assert heard.choices[0] == {
        "index": 0,
        "delta": {"role": "assistant", "content": "Hello "},
        "finish_reason": None,
    }
    assert heard.finish_reasons == ["stop"]
    assert {(chunk["object"], chunk["model"]) for chunk in heard.chunks} == {("chat.completion.chunk", anthropic.MODEL)}
    assert len({(chunk["id"], chunk["created"]) for chunk in heard.chunks}) == 1
    last = heard.chunks[-1]
    assert last["choices"] == []
    assert TokenCount.from_usage(last["usage"]) == TokenCount(prompt=25, completion=7, cached=5)


@pytest.mark.parametrize("reason", ["length", "tool_calls", "content_filter", "stop"])
async def test_the_providers_finish_reason_outlives_the_end_mark(
    wire: LitellmWire, vendor: Vendor, target: Target, reason: str
):
    vendor.reply = mistral.stream({"role": "assistant", "content": "Hello"}, finish_reason=reason)

    heard = await listen(wire.stream(replace(target, kind="deepseek", model="deepseek-chat"), HELLO))

    assert heard.finish_reasons == [reason]


async def test_an_events_bytes_are_its_data(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.stream(anthropic.text("Hello"))

    events = [event async for group in wire.stream(target, HELLO) for event in group]

    assert [orjson.loads(event.raw.removeprefix(b"data: ")) for event in events] == [event.data for event in events]
    assert all(event.raw.endswith(b"\n\n") for event in events)


async def test_a_tools_input_is_streamed_piece_by_piece(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.stream(
        anthropic.text("Let me see."),
        anthropic.tool_use("get_weather", {"city": "Paris"}, "toolu_1"),
        anthropic.tool_use("get_weather", {"city": "Rome"}, "toolu_2"),
        stop_reason="tool_use",
    )

    heard = await listen(wire.stream(target, {**HELLO, "tools": [WEATHER_TOOL]}))

    assert heard.text == "Let me see."
    assert [(call["id"], call["name"], json.loads(call["arguments"])) for call in heard.tool_calls] == [
        ("toolu_1", "get_weather", {"city": "Paris"}),
        ("toolu_2", "get_weather", {"city": "Rome"}),
    ]
    assert heard.finish_reasons == ["tool_calls"]


async def test_thinking_is_told_once_with_its_signature(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.stream(anthropic.thinking("Hm.", "c2ln"), anthropic.text("Yes."))

    heard = await listen(wire.stream(target, {**HELLO, "thinking": {"type": "enabled", "budget_tokens": 1024}}))

    assert vendor.request.body["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert [choice["delta"] for choice in heard.choices[:2]] == [
        {
            "role": "assistant",
            "reasoning_content": "Hm.",
            "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}],
        },
        {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "c2ln"}]},
    ]
    assert heard.text == "Yes."


async def test_a_model_may_repeat_itself(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.stream(anthropic.text("ha " * 300))

    heard = await listen(wire.stream(target, HELLO))

    assert heard.text == "ha " * 300


@pytest.mark.parametrize("stop_after", [1, 4, 6, -1])
async def test_a_stream_that_ends_early_is_no_answer(
    wire: LitellmWire, vendor: Vendor, target: Target, stop_after: int
):
    vendor.reply = anthropic.stream(anthropic.text("Hello to you"), stop_after=stop_after)
    heard = Heard()

    with pytest.raises(StreamCut):
        await listen(wire.stream(target, HELLO), heard)

    assert heard.finish_reasons == []


@pytest.mark.parametrize("stop_after", [4, -1])
async def test_a_broken_connection_in_mid_stream_is_a_failure(
    wire: LitellmWire, vendor: Vendor, target: Target, stop_after: int
):
    vendor.reply = anthropic.stream(anthropic.text("Hello to you"), stop_after=stop_after, ending=Ending.CUT)
    heard = Heard()

    with pytest.raises(ConnectionBroken):
        await listen(wire.stream(target, HELLO), heard)

    assert heard.text
    assert heard.finish_reasons == []


async def test_an_error_event_in_mid_stream_is_a_failure(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.stream_with_error(
        anthropic.text("Hello to you"), type="overloaded_error", message="Overloaded"
    )
    heard = Heard()

    with pytest.raises(ServerError, match="Overloaded"):
        await listen(wire.stream(target, HELLO), heard)

    assert heard.text == "Hello to you"


async def test_a_slow_first_token_is_waited_for(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.stream(anthropic.text("Hello"))
    vendor.go.clear()
    reading = asyncio.create_task(listen(wire.stream(target, HELLO)))
    await vendor.was_asked.wait()
    assert not reading.done()

    vendor.go.set()

    assert (await reading).text == "Hello"


async def test_closing_a_stream_disconnects_from_the_provider(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = anthropic.stream(anthropic.text("Hello to you"), stop_after=4, ending=Ending.HANG)
    stream = wire.stream(target, HELLO)
    await anext(stream)

    await stream.aclose()  # type: ignore[attr-defined]  # an async generator, see Upstream.stream

    await asyncio.wait_for(vendor.disconnected.wait(), SECOND)


@pytest.mark.parametrize("reply", [Hang(), anthropic.stream(stop_after=0, ending=Ending.HANG)], ids=["headers", "body"])
async def test_giving_up_before_the_first_token_disconnects(
    wire: LitellmWire, vendor: Vendor, target: Target, reply: Hang
):
    vendor.reply = reply
    reading = asyncio.create_task(listen(wire.stream(target, HELLO)))
    await vendor.was_asked.wait()

    reading.cancel()

    await asyncio.wait_for(vendor.disconnected.wait(), SECOND)


async def test_giving_up_on_a_whole_answer_disconnects(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = Hang()
    call = asyncio.create_task(wire.complete(target, HELLO))
    await vendor.was_asked.wait()

    call.cancel()

    await asyncio.wait_for(vendor.disconnected.wait(), SECOND)


async def test_calls_leave_no_tasks_behind(wire: LitellmWire, vendor: Vendor, target: Target):
    await wire.prepare()
    before = asyncio.all_tasks()
    vendor.reply = anthropic.message(anthropic.text("Ok."))
    await wire.complete(target, HELLO)
    vendor.reply = anthropic.stream(anthropic.text("Ok."))
    await listen(wire.stream(target, HELLO))

    left = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}  # type: ignore[union-attr]

    assert not {name for name in left if "litellm" in name.lower() or "Logging" in name}
