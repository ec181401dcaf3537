"""Gemini's generateContent API behind OpenAI's: what Google is sent, and what comes out."""

import asyncio
import json
from typing import Any

import pytest

from proxy.tests.vendors import gemini
from proxy.tests.vendors.reading import Heard, listen
from proxy.tests.vendors.server import Ending, Vendor, Whole
from proxy.upstreams.base import Target, TokenCount
from proxy.upstreams.failures import (
    ConnectionBroken,
    ContextWindowExceeded,
    CredentialRejected,
    RateLimited,
    ServerError,
    StreamCut,
    UpstreamFailure,
)
from proxy.upstreams.litellm_wire import LitellmWire

KEY = "AIza-only-for-tests"
HELLO: dict[str, Any] = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "Hello"}]}
WEATHER_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER_TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather in a city.", "parameters": WEATHER_SCHEMA},
}


@pytest.fixture
def target(vendor: Vendor) -> Target:
    return Target(
        provider="google",
        kind="gemini",
        wire="litellm",
        base_url=f"{vendor.url}/v1beta",
        api_key=KEY,
        model="gemini-2.5-flash",
    )


async def test_an_answer_has_openais_shape_and_the_model_that_served_it(
    wire: LitellmWire, vendor: Vendor, target: Target
):
    usage = {
        "promptTokenCount": 9,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 12,
        "thoughtsTokenCount": 3,
        "totalTokenCount": 24,
    }
    vendor.reply = gemini.answer(gemini.text("Hello to you."), usage=usage)

    answer = await wire.complete(target, HELLO)

    assert answer.data["model"] == gemini.MODEL
    (choice,) = answer.data["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hello to you."}
    assert choice["finish_reason"] == "stop"
    assert answer.tokens == TokenCount(prompt=9, completion=15, cached=4, reasoning=3)
    assert not [name for name in answer.data if name.startswith(("_", "vertex_ai"))]


async def test_a_request_is_translated(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = gemini.answer(gemini.text("Ok."))
    system, user = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}

    await wire.complete(
        target, {"messages": [system, user], "max_tokens": 99, "temperature": 0.5, "tools": [WEATHER_TOOL]}
    )

    assert vendor.request.path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert vendor.request.headers["x-goog-api-key"] == KEY
    assert KEY not in str(vendor.request.query)
    body = vendor.request.body
    assert body["system_instruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Hello"}]}]
    assert body["generationConfig"] == {"max_output_tokens": 99, "temperature": 0.5}
    (declaration,) = body["tools"][0]["function_declarations"]
    assert (declaration["name"], declaration["parameters"]) == ("get_weather", WEATHER_SCHEMA)


async def test_googles_own_fields_join_the_translated_ones(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = gemini.answer(gemini.text("Ok."))
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    own = {"safetySettings": safety, "generationConfig": {"mediaResolution": "LOW", "temperature": 2}}

    await wire.complete(target, {**HELLO, **own, "temperature": 0.5})

    assert vendor.request.body["safetySettings"] == safety
    assert vendor.request.body["generationConfig"] == {"mediaResolution": "LOW", "temperature": 0.5}


async def test_tool_calls_go_both_ways(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = gemini.answer(gemini.function_call("get_weather", {"city": "Paris"}))
    first = await wire.complete(target, {**HELLO, "tools": [WEATHER_TOOL]})
    message = first.data["choices"][0]["message"]
    (call,) = message["tool_calls"]

    assert first.data["choices"][0]["finish_reason"] == "tool_calls"
    assert message["content"] is None
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("get_weather", {"city": "Paris"})

    result = {"role": "tool", "tool_call_id": call["id"], "content": "Sunny"}
    await wire.complete(target, {"messages": [*HELLO["messages"], message, result], "tools": [WEATHER_TOOL]})

    _, asked, answered = vendor.received[1].body["contents"]
    assert asked["parts"] == [{"function_call": {"name": "get_weather", "args": {"city": "Paris"}}}]
    assert answered["parts"] == [{"function_response": {"name": "get_weather", "response": {"content": "Sunny"}}}]


async def test_an_image_is_sent_along(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = gemini.answer(gemini.text("A dot."))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}

    await wire.complete(target, {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, image]}]})

    assert vendor.request.body["contents"][0]["parts"] == [
        {"text": "?"},
        {"inline_data": {"mime_type": "image/png", "data": "aGVsbG8="}},
    ]


async def test_a_stream_is_openais_chunks_with_one_finish_reason(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = gemini.stream(gemini.text("Hello "), gemini.text("to "), gemini.text("you"))

    heard = await listen(wire.stream(target, HELLO))

    assert vendor.request.path == "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
    assert vendor.request.query == {"alt": "sse"}
    assert heard.text == "Hello to you"
    assert heard.choices[0]["delta"] == {"role": "assistant", "content": "Hello "}
    assert [choice["finish_reason"] for choice in heard.choices] == [None, None, None, "stop"]
    assert {chunk["model"] for chunk in heard.chunks} == {gemini.MODEL}
    assert TokenCount.from_usage(heard.chunks[-1]["usage"]) == TokenCount(prompt=9, completion=12)


async def test_a_streamed_tool_call_ends_the_answer_as_one(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = gemini.stream(gemini.text("Let me see."), gemini.function_call("get_weather", {"city": "Paris"}))

    heard = await listen(wire.stream(target, {**HELLO, "tools": [WEATHER_TOOL]}))

    (call,) = heard.tool_calls
    assert (call["name"], json.loads(call["arguments"])) == ("get_weather", {"city": "Paris"})
    assert heard.finish_reasons == ["tool_calls"]


async def test_a_stream_that_ends_without_a_finish_reason_is_no_answer(
    wire: LitellmWire, vendor: Vendor, target: Target
):
    vendor.reply = gemini.stream(gemini.text("Hello "), gemini.text("to"), finish_reason=None)
    heard = Heard()

    with pytest.raises(StreamCut):
        await listen(wire.stream(target, HELLO), heard)

    assert heard.text == "Hello to"
    assert heard.finish_reasons == []


async def test_an_answer_that_speaks_of_finish_reasons_does_not_end_by_it(
    wire: LitellmWire, vendor: Vendor, target: Target
):
    vendor.reply = gemini.stream(gemini.text('Look for "finishReason" in it.'), finish_reason=None)

    with pytest.raises(StreamCut):
        await listen(wire.stream(target, HELLO))


async def test_a_broken_connection_in_mid_stream_is_a_failure(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = gemini.stream(gemini.text("Hello "), gemini.text("to"), finish_reason=None, ending=Ending.CUT)

    with pytest.raises(ConnectionBroken):
        await listen(wire.stream(target, HELLO))


async def test_closing_a_stream_disconnects_from_the_provider(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = gemini.stream(gemini.text("Hello"), finish_reason=None, ending=Ending.HANG)
    stream = wire.stream(target, HELLO)
    await anext(stream)

    await stream.aclose()  # type: ignore[attr-defined]  # an async generator, see Upstream.stream

    await asyncio.wait_for(vendor.disconnected.wait(), 1.0)


async def test_a_blocked_prompt_is_an_answer_that_was_filtered(wire: LitellmWire, vendor: Vendor, target: Target):
    blocked = gemini.blocked("PROHIBITED_CONTENT")
    vendor.reply = blocked
    answer = await wire.complete(target, HELLO)
    assert answer.data["choices"][0]["finish_reason"] == "content_filter"

    vendor.reply = gemini.streamed(blocked)
    heard = await listen(wire.stream(target, HELLO))
    assert heard.finish_reasons == ["content_filter"]


@pytest.mark.parametrize(
    "status, name, message, failure",
    [
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", CredentialRejected),
        (403, "PERMISSION_DENIED", "Not allowed.", CredentialRejected),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            ContextWindowExceeded,
        ),
        (500, "INTERNAL", "An internal error has occurred.", ServerError),
        (503, "UNAVAILABLE", "The model is overloaded.", ServerError),
    ],
)
async def test_a_refusal_is_understood(
    wire: LitellmWire,
    vendor: Vendor,
    target: Target,
    status: int,
    name: str,
    message: str,
    failure: type[UpstreamFailure],
):
    vendor.reply = gemini.error(status, name, message)

    with pytest.raises(failure):
        await wire.complete(target, HELLO)
    with pytest.raises(failure):
        await listen(wire.stream(target, HELLO))


async def test_googles_retry_info_says_when_to_come_back(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = gemini.error(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", [gemini.retry_info("19.5s")])

    with pytest.raises(RateLimited, match="Quota exceeded") as caught:
        await wire.complete(target, HELLO)

    assert caught.value.retry_after_s == 19.5
    assert caught.value.code == "RESOURCE_EXHAUSTED"


async def test_an_error_in_mid_stream_keeps_its_status(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = gemini.stream_with_error(
        gemini.text("Hello"), status=429, name="RESOURCE_EXHAUSTED", message="Quota exceeded."
    )
    heard = Heard()

    with pytest.raises(RateLimited, match="Quota exceeded"):
        await listen(wire.stream(target, HELLO), heard)

    assert heard.text == "Hello"


@pytest.mark.parametrize("encoding_format", ["float", "base64"])
async def test_embeddings_come_as_openais_list(wire: LitellmWire, vendor: Vendor, target: Target, encoding_format: str):
    vendor.reply = gemini.embeddings([0.25, -0.5], [1.0, 0.0])

    answer = await wire.embed(
        target, {"model": "gemini-embedding-001", "input": ["one", "two"], "encoding_format": encoding_format}
    )

    assert vendor.request.path.endswith(":batchEmbedContents")
    assert answer.data["object"] == "list"
    assert [(item["object"], item["index"], item["embedding"]) for item in answer.data["data"]] == [
        ("embedding", 0, [0.25, -0.5]),
        ("embedding", 1, [1.0, 0.0]),
    ]
    assert answer.tokens is not None


async def test_a_refused_embedding_is_a_failure(wire: LitellmWire, vendor: Vendor, target: Target):
    vendor.reply = Whole({"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED"}}, 429)

    with pytest.raises(RateLimited):
        await wire.embed(target, {"model": "gemini-embedding-001", "input": "one"})
