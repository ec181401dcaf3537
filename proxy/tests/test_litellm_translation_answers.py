"""An answer, or a failure, comes out of litellm's translation as it comes out of `litellm.acompletion`."""

import json
from typing import Any

import pytest

from proxy.tests.vendors import anthropic, gemini, mistral
from proxy.tests.vendors.both_ways import Ask, both_ways, streamed, whole
from proxy.tests.vendors.reading import listen
from proxy.tests.vendors.server import Ending, Raw, Reply, Reset, Stream, Vendor, Whole
from proxy.upstreams.base import Target
from proxy.upstreams.failures import MalformedAnswer
from proxy.upstreams.litellm_wire import LitellmWire

MODELS = {"anthropic": "claude-haiku-4-5", "gemini": "gemini-2.5-flash", "mistral": "mistral-small-latest"}
OLD_CLAUDE = "claude-3-5-haiku-20241022"  # writes JSON by a tool
USER = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
ODD_TOOL = {"type": "function", "function": {"name": "weather/now", "parameters": {"type": "object"}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "c", "schema": {"type": "object", "properties": {}}}}

text, tool_use, thinking = anthropic.text, anthropic.tool_use, anthropic.thinking
CACHED = {
    "input_tokens": 20,
    "cache_creation_input_tokens": 7,
    "cache_read_input_tokens": 5,
    "output_tokens": 9,
    "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
    "service_tier": "standard",
    "inference_geo": "eu",
}
CITED = {
    **text("It is sunny."),
    "citations": [{"type": "char_location", "cited_text": "sunny", "document_index": 0, "start_char_index": 1}],
}
SEARCHED: list[dict[str, Any]] = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "weather"}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [
            {"type": "web_search_result", "url": "https://example.com", "title": "W", "encrypted_content": "x"}
        ],
    },
    CITED,
]
PARIS, ROME = tool_use("get_weather", {"city": "Paris"}, "toolu_1"), tool_use("get_weather", {}, "toolu_2")

# Content blocks, with what else the answer says, and what the question said.
ANTHROPIC: dict[str, tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]] = {
    "text": ([text("Hello to you.")], {}, {}),
    "unicode": ([text('Grüße \u2028 \x85 😀 \\ "')], {}, {}),
    "texts": ([text("Hello"), text("you")], {}, {}),
    "nothing": ([], {}, {}),
    "empty text": ([text("")], {}, {}),
    "cached": ([text("Ok.")], {"usage": CACHED}, {}),
    "searches counted": ([text("Ok.")], {"usage": {**CACHED, "server_tool_use": {"web_search_requests": 2}}}, {}),
    "cut at max_tokens": ([text("Hello")], {"stop_reason": "max_tokens"}, {}),
    "stopped": ([text("Hello")], {"stop_reason": "stop_sequence"}, {}),
    "refused": ([text("No.")], {"stop_reason": "refusal"}, {}),
    "paused": ([text("Wait.")], {"stop_reason": "pause_turn"}, {}),
    "a reason of next year": ([text("Hello")], {"stop_reason": "because"}, {}),
    "tool": ([text("See."), PARIS], {"stop_reason": "tool_use"}, {"tools": [TOOL]}),
    "tools": ([PARIS, ROME], {"stop_reason": "tool_use"}, {"tools": [TOOL]}),
    "tool of an odd name": ([tool_use("weather_now", {})], {"stop_reason": "tool_use"}, {"tools": [ODD_TOOL]}),
    "thinking": ([thinking("Hm. " * 50), text("Yes.")], {}, {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
    "thinking counted": (
        [thinking("Hm."), text("Yes.")],
        {"usage": {**CACHED, "output_tokens_details": {"thinking_tokens": 4}}},
        {},
    ),
    "thinking and tool": ([thinking("Hm."), PARIS], {"stop_reason": "tool_use"}, {"tools": [TOOL]}),
    "cited": ([CITED], {}, {}),
    "searched": (SEARCHED, {}, {"web_search_options": {}}),
    "json": ([text('{"city": "Paris"}')], {}, {"response_format": SCHEMA}),
    "json by a tool": (
        [tool_use("json_tool_call", {"city": "Paris"})],
        {"stop_reason": "tool_use"},
        {"response_format": SCHEMA, "model": OLD_CLAUDE},
    ),
    "json by a tool, wrapped": (
        [tool_use("json_tool_call", {"values": {"city": "Paris"}})],
        {"stop_reason": "tool_use"},
        {"response_format": {"type": "json_object"}, "model": OLD_CLAUDE},
    ),
    "json by a tool, beside another": (
        [tool_use("json_tool_call", {"city": "Paris"}), PARIS],
        {"stop_reason": "tool_use"},
        {"response_format": SCHEMA, "tools": [TOOL], "model": OLD_CLAUDE},
    ),
}
GEMINI_THOUGHT = {"text": "Hm.", "thought": True}
GEMINI_USAGE = {**gemini.USAGE, "cachedContentTokenCount": 4, "thoughtsTokenCount": 6}
GEMINI: dict[str, tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]] = {
    "text": ([gemini.text("Hello "), gemini.text("you")], {}, {}),
    "unicode": ([gemini.text('Grüße 😀 \\ "')], {}, {}),
    "cached, thought": ([GEMINI_THOUGHT, gemini.text("Yes.")], {"usage": GEMINI_USAGE}, {}),
    "cut": ([gemini.text("Hello")], {"finish_reason": "MAX_TOKENS"}, {}),
    "filtered": ([gemini.text("Hello")], {"finish_reason": "SAFETY"}, {}),
    "recited": ([gemini.text("Hello")], {"finish_reason": "RECITATION"}, {}),
    "tools": (
        [gemini.function_call("get_weather", {"city": "Paris"}), gemini.function_call("get_weather", {"city": "Rome"})],
        {},
        {"tools": [TOOL]},
    ),
    "signed tool": (
        [{**gemini.function_call("get_weather", {"city": "Paris"}), "thoughtSignature": "c2ln"}],
        {},
        {"tools": [TOOL]},
    ),
    "functions": ([gemini.function_call("get_weather", {})], {}, {"functions": [TOOL["function"]]}),
    "image": ([{"inlineData": {"mimeType": "image/png", "data": "aGk="}}], {}, {"modalities": ["text", "image"]}),
    "json": ([gemini.text('{"city": "Paris"}')], {}, {"response_format": SCHEMA}),
}
CALLS = [mistral.tool_call("get_weather", {"city": "Paris"}), mistral.tool_call("get_weather", {"city": "Rome"}, 1)]
MISTRAL_THOUGHT = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
    {"type": "text", "text": "Yes."},
]
MISTRAL: dict[str, tuple[Reply, Reply]] = {
    "text": (mistral.answer("Hello"), mistral.stream({"role": "assistant", "content": ""}, {"content": "Hello"})),
    "empty": (mistral.answer(""), mistral.stream({"content": ""})),
    "cut": (mistral.answer("Hello", "length"), mistral.stream({"content": "Hello"}, finish_reason="length")),
    "tools": (
        mistral.answer("", "tool_calls", tool_calls=CALLS),
        mistral.stream({"tool_calls": CALLS}, finish_reason="tool_calls"),
    ),
    "thinking": (mistral.answer(MISTRAL_THOUGHT), mistral.stream(*({"content": [part]} for part in MISTRAL_THOUGHT))),
}
WORDS = [text("Hello to you")]
FAILURES: dict[str, dict[str, Reply]] = {
    "anthropic": {
        "400": anthropic.error(400, "invalid_request_error", "temperature: must be at most 1"),
        "401": anthropic.error(401, "authentication_error", "invalid x-api-key"),
        "402": anthropic.error(400, "invalid_request_error", "Your credit balance is too low."),
        "403": anthropic.error(403, "permission_error", "not allowed"),
        "404": anthropic.error(404, "not_found_error", "model: claude-9"),
        "413": anthropic.error(413, "request_too_large", "Request exceeds the maximum size"),
        "window": anthropic.error(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        "policy": anthropic.error(400, "invalid_request_error", "Output blocked by content filtering policy"),
        "429": anthropic.error(429, "rate_limit_error", "slow down", retry_after="17"),
        "500": anthropic.error(500, "api_error", "Internal server error"),
        "529": anthropic.error(529, "overloaded_error", "Overloaded"),
        "no message": Whole({}, 503),
        "no object": Raw(b"[]", 500),
        "no json": Raw(b"<html>Bad gateway</html>", 502),
        "no body": Raw(b"", 504),
        "redirect": Whole({}, 307, {"Location": "http://127.0.0.1:9/"}),
        "reset": Reset(),
        "answer that is none": Whole({"type": "message"}),
        "answer that is an error": Whole({"error": {"type": "api_error", "message": "Oops"}}),
        "answer that is no json": Raw(b'{"type": "mess'),
        "answer that is a list": Raw(b"[1]"),
        "no events": Stream([]),
        "other events": Stream([b'event: message_start\ndata: {"type": "message_start", "message": 5}\n\n']),
        "unfinished": anthropic.stream(*WORDS, stop_after=5),
        "no stop": anthropic.stream(*WORDS, stop_after=-1),
        "cut": anthropic.stream(*WORDS, stop_after=5, ending=Ending.CUT),
        "error in it": anthropic.stream_with_error(*WORDS, type="overloaded_error", message="Overloaded"),
    },
    "gemini": {
        "400": gemini.error(400, "INVALID_ARGUMENT", "Invalid value"),
        "key": gemini.error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
        "403": gemini.error(403, "PERMISSION_DENIED", "Not allowed."),
        "404": gemini.error(404, "NOT_FOUND", "models/x is not found"),
        "window": gemini.error(
            400, "INVALID_ARGUMENT", "The input token count (12) exceeds the maximum number of tokens"
        ),
        "429": gemini.error(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", [gemini.retry_info("19.5s")]),
        "500": gemini.error(500, "INTERNAL", "An internal error has occurred."),
        "503": gemini.error(503, "UNAVAILABLE", "The model is overloaded."),
        "no json": Raw(b"<html>Bad gateway</html>", 502),
        "redirect": Whole({}, 307, {"Location": "http://127.0.0.1:9/"}),
        "reset": Reset(),
        "answer that is none": Whole({"unexpected": 1}),
        "answer that is no json": Raw(b'{"cand'),
        "blocked in a stream": gemini.streamed(gemini.blocked("PROHIBITED_CONTENT")),
        "unfinished": gemini.stream(gemini.text("Hello"), finish_reason=None),
        "cut": gemini.stream(gemini.text("Hello "), gemini.text("to"), finish_reason=None, ending=Ending.CUT),
        "error in it": gemini.stream_with_error(
            gemini.text("Hello"), status=429, name="RESOURCE_EXHAUSTED", message="Quota exceeded."
        ),
    },
    "mistral": {
        "400": mistral.error(400, "Invalid model"),
        "401": mistral.error(401, "Unauthorized"),
        "422": Whole({"detail": [{"loc": ["body", "top_p"], "msg": "wrong"}]}, 422),
        "429": mistral.error(429, "Requests rate limit exceeded", retry_after="3"),
        "500": mistral.error(500, "Internal error"),
        "503": Raw(b"upstream connect error", 503),
        "reset": Reset(),
        "answer that is no json": Raw(b'{"cho'),
        "answer that is none": Whole({"unexpected": 1}),
        "cut": mistral.stream({"content": "Hello"}, ending=Ending.CUT),
        "error in it": Stream([b'data: {"error": {"message": "Overloaded", "code": 503}}\n\n']),
    },
}


def target_of(kind: str, vendor: Vendor, model: str | None = None) -> Target:
    return Target(kind, kind, "litellm", vendor.url, "sk-test", model or MODELS[kind])


@pytest.mark.parametrize("name", ANTHROPIC)
@pytest.mark.parametrize("ask", [whole, streamed])
async def test_claudes_answer_is_litellms(ask: Ask, vendor: Vendor, name: str, monkeypatch: pytest.MonkeyPatch):
    content, said, asked = ANTHROPIC[name]
    vendor.reply = anthropic.message(*content, **said) if ask is whole else anthropic.stream(*content, **said)
    target = target_of("anthropic", vendor, asked.get("model"))

    translated, completed = await both_ways(ask, vendor, target, {"messages": [USER], **asked}, monkeypatch)

    assert translated == completed
    assert translated.came


@pytest.mark.parametrize("name", GEMINI)
@pytest.mark.parametrize("ask", [whole, streamed])
async def test_geminis_answer_is_litellms(ask: Ask, vendor: Vendor, name: str, monkeypatch: pytest.MonkeyPatch):
    parts, said, asked = GEMINI[name]
    vendor.reply = gemini.answer(*parts, **said) if ask is whole else gemini.stream(*parts, **said)

    translated, completed = await both_ways(
        ask, vendor, target_of("gemini", vendor), {"messages": [USER], **asked}, monkeypatch
    )

    assert translated == completed
    assert translated.came


@pytest.mark.parametrize("name", MISTRAL)
@pytest.mark.parametrize("ask", [whole, streamed])
async def test_mistrals_answer_is_litellms(ask: Ask, vendor: Vendor, name: str, monkeypatch: pytest.MonkeyPatch):
    vendor.reply = MISTRAL[name][ask is streamed]

    translated, completed = await both_ways(
        ask, vendor, target_of("mistral", vendor), {"messages": [USER], "tools": [TOOL]}, monkeypatch
    )

    assert translated == completed
    assert translated.came


@pytest.mark.parametrize("kind, name", [(kind, name) for kind, replies in FAILURES.items() for name in replies])
@pytest.mark.parametrize("ask", [whole, streamed])
async def test_a_failure_is_litellms(ask: Ask, vendor: Vendor, kind: str, name: str, monkeypatch: pytest.MonkeyPatch):
    vendor.reply = FAILURES[kind][name]

    translated, completed = await both_ways(ask, vendor, target_of(kind, vendor), {"messages": [USER]}, monkeypatch)

    assert translated == completed


@pytest.mark.parametrize("kind", MODELS)
async def test_data_that_is_not_json_ends_a_stream_at_once(vendor: Vendor, kind: str):
    """Here litellm differs: it waits for the rest, or skips what it cannot read."""
    vendor.reply = Stream([b'data: {"type": "mess\n\n'], Ending.HANG)
    wire = LitellmWire()

    with pytest.raises(MalformedAnswer):
        await listen(wire.stream(target_of(kind, vendor), {"messages": [USER]}))

    await wire.close()


async def test_a_line_separator_in_a_text_splits_no_event(vendor: Vendor):
    """Here, too: litellm's HTTP library ends lines at characters that JSON may hold."""
    event = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a\u2028b\x85c"}}
    reply = anthropic.stream(text("Hello"))
    raw = f"event: content_block_delta\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
    vendor.reply = Stream([*reply.events[:3], raw, *reply.events[3:]])
    wire = LitellmWire()

    heard = await listen(wire.stream(target_of("anthropic", vendor), {"messages": [USER]}))

    assert heard.text == "a\u2028b\x85cHello"
    await wire.close()
