"""A request that is translated by litellm, sent by us, is the one that `litellm.acompletion` sends."""

import json
from dataclasses import replace
from typing import Any

import pytest

from proxy.tests.vendors import anthropic, gemini, mistral
from proxy.tests.vendors.both_ways import Ask, both_ways, streamed, whole
from proxy.tests.vendors.server import Reply, Vendor
from proxy.upstreams.base import Target
from proxy.upstreams.failures import ConnectFailed, CredentialRejected
from proxy.upstreams.http import Headers
from proxy.upstreams.litellm_exchange import PooledExchange
from proxy.upstreams.litellm_wire import LitellmWire

MODELS = {
    "anthropic": ["claude-haiku-4-5", "claude-3-5-haiku-20241022", "claude-opus-4-6", "claude-of-next-year"],
    "gemini": ["gemini-2.5-flash", "gemini-3-pro-preview"],
    "mistral": ["mistral-small-latest", "magistral-medium-latest"],
}
REPLIES: dict[tuple[str, Ask], Reply] = {
    ("anthropic", whole): anthropic.message(anthropic.text("Ok.")),
    ("anthropic", streamed): anthropic.stream(anthropic.text("Ok.")),
    ("gemini", whole): gemini.answer(gemini.text("Ok.")),
    ("gemini", streamed): gemini.stream(gemini.text("Ok.")),
    ("mistral", whole): mistral.answer("Ok."),
    ("mistral", streamed): mistral.stream({"role": "assistant", "content": "Ok."}),
}

SYSTEM, USER = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather in a city.", "parameters": SCHEMA, "strict": True},
}
ODD_TOOL = {"type": "function", "function": {"name": "weather/now", "parameters": SCHEMA}}
CALL = {"id": "toolu_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "toolu_1", "content": "Sunny"}
PIXEL = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0xLjQK"
CACHED = {"type": "text", "text": "A long text. " * 500, "cache_control": {"type": "ephemeral"}}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


# Beyond a plain question: what is in the request.
REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "system": {"messages": [SYSTEM, USER]},
    "two systems": {"messages": [SYSTEM, SYSTEM, USER, {"role": "assistant", "content": "Hi"}, SYSTEM, USER]},
    "developer": {"messages": [{"role": "developer", "content": "Be brief."}, USER]},
    "system alone": {"messages": [SYSTEM]},
    "turns": {"messages": [USER, {"role": "assistant", "content": "Hi."}, USER, USER]},
    "named user": {"messages": [{**USER, "name": "Ann"}]},
    "last word of the assistant": {"messages": [USER, {"role": "assistant", "content": "I say "}]},
    "prefix": {"messages": [USER, {"role": "assistant", "content": "I say ", "prefix": True}]},
    "empty text": {"messages": [{"role": "user", "content": ""}]},
    "unicode": {"messages": [{"role": "user", "content": 'Grüße \u2028 \u0000 😀 \\ "'}]},
    "parts": {"messages": [user({"type": "text", "text": "Hello"}, {"type": "text", "text": "you"})]},
    "max_tokens": {"max_tokens": 5},
    "max_completion_tokens": {"max_completion_tokens": 6},
    "sampling": {"temperature": 0.5, "top_p": 0.9, "frequency_penalty": 0.1, "presence_penalty": 0.2, "seed": 7},
    "temperature 0": {"temperature": 0, "top_p": 1},
    "top_k": {"top_k": 5},
    "stop": {"stop": "END"},
    "stops": {"stop": ["A", "B", "C", "D", "E", " "]},
    "n of 1": {"n": 1},
    "n of 2": {"n": 2},
    "user": {"user": "ann-1"},
    "user's address": {"user": "ann@example.com"},
    "logprobs": {"logprobs": True, "top_logprobs": 2, "logit_bias": {"1": 2}},
    "openai's own": {"store": True, "metadata": {"a": "b"}, "service_tier": "auto", "verbosity": "low"},
    "nulls": {"temperature": None, "tools": None, "stop": None},
    "foreign fields": {"container": "c1", "inference_geo": {"only": "eu"}, "safe_prompt": True},
    "foreign field in gemini's own": {"temperature": 0.5, "generationConfig": {"candidateCount": 2}},
    "what a caller may not": {"api_base": "http://127.0.0.1:9", "extra_headers": {"a": "b"}, "drop_params": False},
    "tools": {"tools": [TOOL]},
    "no tools": {"tools": []},
    "tool of an odd name": {
        "tools": [ODD_TOOL],
        "tool_choice": {"type": "function", "function": {"name": "weather/now"}},
    },
    "anthropic's fields of a tool": {"tools": [{**TOOL, "input_examples": [{"city": "Rome"}]}]},
    "tool_choice auto": {"tools": [TOOL], "tool_choice": "auto"},
    "tool_choice none": {"tools": [TOOL], "tool_choice": "none"},
    "tool_choice required": {"tools": [TOOL], "tool_choice": "required"},
    "tool_choice object": {"tools": [TOOL], "tool_choice": {"type": "auto"}},
    "tool_choice named": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
    "tool_choice wrong": {"tools": [TOOL], "tool_choice": {"type": "function"}},
    "one tool at a time": {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False},
    "tool's result": {"messages": [USER, CALLED, RESULT], "tools": [TOOL]},
    "tool's result without tools": {"messages": [USER, CALLED, RESULT]},
    "two tools' results": {
        "messages": [
            USER,
            {**CALLED, "tool_calls": [CALL, {**CALL, "id": "toolu_2"}]},
            RESULT,
            {**RESULT, "tool_call_id": "toolu_2"},
            USER,
        ],
        "tools": [TOOL],
    },
    "tool's result in parts": {"messages": [USER, CALLED, {**RESULT, "content": [{"type": "text", "text": "Hot"}]}]},
    "arguments that are no JSON": {
        "messages": [USER, {**CALLED, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{"}}]}, RESULT]
    },
    "a number beyond 64 bits": {
        "messages": [
            USER,
            {
                **CALLED,
                "tool_calls": [{**CALL, "function": {"name": "f", "arguments": '{"id": 1234567890123456789012}'}}],
            },
            RESULT,
        ]
    },
    "functions": {"functions": [TOOL["function"]], "function_call": "auto"},
    "mcp": {
        "tools": [
            {"type": "mcp", "server_label": "x", "server_url": "https://example.com", "require_approval": "never"}
        ]
    },
    "web search": {"web_search_options": {"search_context_size": "low"}},
    "image": {"messages": [user({"type": "text", "text": "What is it?"}, image(PIXEL))]},
    "image's address": {"messages": [user(image("https://images.example/cat.png"))]},
    "image's plain address": {"messages": [user(image("http://images.example/cat.png"))]},
    "document": {"messages": [user({"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}})]},
    "sound": {"messages": [user({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}})]},
    "json": {"response_format": {"type": "json_object"}},
    "schema": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": SCHEMA, "strict": True}}
    },
    "schema and tools": {
        "tools": [TOOL],
        "response_format": {"type": "json_schema", "json_schema": {"name": "c", "schema": SCHEMA}},
    },
    "text format": {"response_format": {"type": "text"}},
    "thinking": {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096},
    "thinking in camel case": {"thinking": {"type": "enabled", "budgetTokens": 1024}},
    "thinking, yes": {"thinking": True},
    "thinking, no": {"thinking": False},
    "adaptive thinking": {"thinking": {"type": "adaptive"}},
    "effort": {"reasoning_effort": "low"},
    "effort none": {"reasoning_effort": "none"},
    "thoughts of before": {
        "messages": [USER, {**CALLED, "content": "Let me see.", "thinking_blocks": [THOUGHT]}, RESULT],
        "tools": [TOOL],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    },
    "modalities": {"modalities": ["text"]},
    "wrong role": {"messages": [{"role": "robot", "content": "x"}]},
    "no role": {"messages": [{"content": "x"}]},
    "no messages": {"messages": []},
    "messages that are none": {"messages": "Hello"},
    "wrong part": {"messages": [user({})]},
}


def target_of(vendor: Vendor, kind: str, model: str = "", base: str = "") -> Target:
    return Target(kind, kind, "litellm", vendor.url + base, "sk-test", model or MODELS[kind][0])


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("kind, model", [(kind, model) for kind, models in MODELS.items() for model in models])
async def test_a_request_is_what_litellm_would_send(
    vendor: Vendor, kind: str, model: str, name: str, monkeypatch: pytest.MonkeyPatch
):
    vendor.reply = REPLIES[kind, whole]
    body = {"model": model, "messages": [USER], **REQUESTS[name]}
    before = json.dumps(body)

    translated, completed = await both_ways(whole, vendor, target_of(vendor, kind, model), body, monkeypatch)

    assert translated == completed
    assert translated.sent or translated.failure
    assert json.dumps(body) == before


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("kind", MODELS)
async def test_a_request_for_a_stream_is_what_litellm_would_send(
    vendor: Vendor, kind: str, name: str, monkeypatch: pytest.MonkeyPatch
):
    vendor.reply = REPLIES[kind, streamed]
    body = {"messages": [USER], **REQUESTS[name], "stream": True, "stream_options": {"include_usage": False}}

    translated, completed = await both_ways(streamed, vendor, target_of(vendor, kind), body, monkeypatch)

    assert translated == completed
    assert translated.sent or translated.failure


@pytest.mark.parametrize("marked", [user(CACHED, {"type": "text", "text": "And?"})])
@pytest.mark.parametrize("kind", ["anthropic", "mistral"])
async def test_what_is_to_be_cached_is_marked_as_litellm_would(
    vendor: Vendor, kind: str, marked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    vendor.reply = REPLIES[kind, whole]

    translated, completed = await both_ways(whole, vendor, target_of(vendor, kind), {"messages": [marked]}, monkeypatch)

    assert translated == completed
    assert translated.sent


@pytest.mark.parametrize("base", ["/v1/messages", "/v1", "/some/proxy"])
@pytest.mark.parametrize("kind", MODELS)
async def test_a_base_url_leads_where_litellm_would_go(
    vendor: Vendor, kind: str, base: str, monkeypatch: pytest.MonkeyPatch
):
    target = target_of(vendor, kind, base=base)
    vendor.reply = REPLIES[kind, whole]

    translated, completed = await both_ways(whole, vendor, target, {"messages": [USER]}, monkeypatch)

    assert translated == completed
    assert translated.sent


@pytest.mark.parametrize(
    "kind, model",
    [
        ("openai", "gpt-4o"),
        ("bedrock", "anthropic.claude-3-haiku-20240307-v1:0"),
        ("vertex_ai", "gemini-2.5-flash"),
        ("anthropic", "claude-2"),  # an older API of Anthropic's
        ("mistral", "responses/mistral-small-latest"),  # OpenAI's newer API
    ],
)
async def test_whatever_else_stays_with_litellm(kind: str, model: str):
    translation = (await LitellmWire().prepare()).translation

    assert not translation.takes(Target(kind, kind, "litellm", "", "sk-test", model), {"messages": [USER]})


async def test_what_google_has_to_store_first_stays_with_litellm():
    translation = (await LitellmWire().prepare()).translation
    target = Target("google", "gemini", "litellm", "", "sk-test", "gemini-2.5-flash")

    assert translation.takes(target, {"messages": [USER]})
    assert not translation.takes(target, {"messages": [user(CACHED)]})


@pytest.mark.parametrize(
    "kind, url",
    [
        ("anthropic", "https://api.anthropic.com/v1/messages"),
        ("gemini", "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"),
        ("mistral", "https://api.mistral.ai/v1/chat/completions"),
    ],
)
async def test_the_environment_redirects_no_call_and_lends_no_key(
    vendor: Vendor, kind: str, url: str, monkeypatch: pytest.MonkeyPatch
):
    sent: list[tuple[str, Headers]] = []

    async def post(exchange: PooledExchange, url: str, headers: Headers, body: bytes) -> None:
        sent.append((url, headers))
        raise ConnectFailed("Not in a test.")

    monkeypatch.setattr(PooledExchange, "post", post)
    for name in ("ANTHROPIC", "GEMINI", "GOOGLE", "MISTRAL", "MISTRAL_AZURE", "LITELLM_PROXY"):
        monkeypatch.setenv(f"{name}_API_KEY", "another's")
        monkeypatch.setenv(f"{name}_API_BASE", vendor.url)
        monkeypatch.setenv(f"{name}_BASE_URL", vendor.url)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another's")
    wire = LitellmWire()
    target = Target(kind, kind, "litellm", "", "sk-test", MODELS[kind][0])

    with pytest.raises(ConnectFailed):
        await wire.complete(target, {"messages": [USER]})
    with pytest.raises(CredentialRejected):
        await wire.complete(replace(target, api_key=""), {"messages": [USER]})

    ((address, headers),) = sent
    assert address == url
    assert "another's" not in str(headers)
    assert "sk-test" in str(headers)
    assert vendor.received == []
