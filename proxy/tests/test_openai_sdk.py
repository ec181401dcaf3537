"""The official openai client drives the gateway: what it sends arrives, what comes back it understands."""

import base64
import struct
from typing import Any

import httpx
import openai
import pytest
from openai import Omit, pydantic_function_tool
from pydantic import BaseModel

from accounts.models import APIKey
from conftest import PASSWORD
from proxy.tests.conftest import Site
from proxy.tests.fake_provider import answer, chunk, chunks, completion, error, stream, text

MESSAGES = [{"role": "user", "content": "Hi"}]
ASK = {"model": "fake/one", "messages": MESSAGES}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}, "strict": True}}


def client(site: Site, **options: Any) -> openai.OpenAI:
    """Alice's, without its own retries."""
    usual = {"api_key": site.cast.alice.key, "max_retries": 0, "http_client": site.http}
    return openai.OpenAI(base_url=f"{site.gateway.url}/v1", **{**usual, **options})


def test_a_plain_answer(site: Site):
    site.provider.on("one", text("Hello, alice"))
    got = client(site).chat.completions.create(**ASK)
    assert (got.choices[0].message.content, got.model, got.usage.total_tokens) == ("Hello, alice", "fake-2024", 10)


def test_a_streamed_answer(site: Site):
    site.provider.on("one", stream(chunks("Hel", "lo")))
    events = list(client(site).chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True}))
    assert "".join(event.choices[0].delta.content or "" for event in events if event.choices) == "Hello"
    assert events[-1].usage.total_tokens == 10
    assert [event.usage for event in events[:-1]] == [None] * (len(events) - 1)


async def test_the_async_client(site: Site):
    site.provider.on("one", text("Whole"), stream(chunks("In ", "pieces")))
    async with site.gateway.async_sdk(site.cast.alice) as asynchronous:
        whole = await asynchronous.chat.completions.create(**ASK)
        pieces = await asynchronous.chat.completions.create(**ASK, stream=True)
        said = [event.choices[0].delta.content or "" async for event in pieces if event.choices]
    assert (whole.choices[0].message.content, "".join(said)) == ("Whole", "In pieces")


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}}
SENT: dict[str, dict[str, Any]] = {
    "tools": {"tools": [WEATHER], "tool_choice": "required", "parallel_tool_calls": False},
    "a chosen tool": {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
    "a JSON schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}},
    "an image": {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]}]},
    "a tool's answer": {"messages": [*MESSAGES, {"role": "tool", "tool_call_id": "call_1", "content": "Sunny"}]},
    "several choices": {"n": 3, "temperature": 0.7, "top_p": 0.9, "seed": 42, "stop": ["\n", "END"]},
    "logprobs": {"logprobs": True, "top_logprobs": 5, "logit_bias": {"50256": -100}},
    "limits": {"max_completion_tokens": 100, "presence_penalty": 0.5, "frequency_penalty": -0.5},
    "what OpenAI added later": {"reasoning_effort": "low", "verbosity": "low", "service_tier": "flex", "store": False},
    "a prediction": {"prediction": {"type": "content", "content": "Hello"}, "metadata": {"run": "7"}, "user": "u1"},
    "sound": {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
}
UNKNOWN = {"top_k": 5, "reasoning": {"effort": "high", "x": [1, None]}, "a_new_field": "é \N{GRINNING FACE}"}


@pytest.mark.parametrize("fields", SENT.values(), ids=SENT.keys())
def test_the_provider_gets_the_request_as_it_was_sent(fields: dict[str, Any], site: Site):
    client(site).chat.completions.create(**{**ASK, **fields}, extra_body=UNKNOWN)
    assert site.provider.bodies("one") == [{**ASK, **fields, **UNKNOWN, "model": "one"}]


def test_the_provider_does_not_get_the_callers_headers(site: Site):
    client(site).chat.completions.create(**ASK, extra_headers={"x-secret": "1", "OpenAI-Organization": "org-1"})
    [received] = site.provider.received
    names = {name.lower() for name in received.headers}
    assert not names & {"authorization", "x-secret", "openai-organization", "x-stainless-lang", "cookie"}
    assert site.cast.alice.key not in str(received.headers)


TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Berlin"}'}}


def test_tool_calls_come_back(site: Site):
    called = completion(None, message={"tool_calls": [TOOL_CALL]}, choice={"finish_reason": "tool_calls"})
    site.provider.on("one", answer(called))
    choice = client(site).chat.completions.create(**ASK, tools=[WEATHER]).choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert choice.message.tool_calls[0].to_dict() == TOOL_CALL


class Weather(BaseModel):
    city: str


def _tool_call_chunks() -> list[dict[str, Any]]:
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "Weather", "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": part}} for part in ('{"ci', 'ty": "Ber', 'lin"}')]
    return [
        chunk({"role": "assistant", "content": None, "tool_calls": [first]}),
        *(chunk({"tool_calls": [piece]}) for piece in pieces),
        chunk({}, "tool_calls"),
    ]


def test_streamed_tool_calls_come_together(site: Site):
    site.provider.on("one", stream(_tool_call_chunks()))
    with client(site).chat.completions.stream(**ASK, tools=[pydantic_function_tool(Weather)]) as events:
        deltas = [e.arguments_delta for e in events if e.type == "tool_calls.function.arguments.delta"]
        [call] = events.get_final_completion().choices[0].message.tool_calls
    assert "".join(deltas) == '{"city": "Berlin"}'
    assert call.function.parsed_arguments == Weather(city="Berlin")


def test_the_stream_helper_reads_text_and_usage(site: Site):
    site.provider.on("one", stream(chunks("Hel", "lo")))
    with client(site).chat.completions.stream(**ASK, stream_options={"include_usage": True}) as events:
        said = [event.delta for event in events if event.type == "content.delta"]
        final = events.get_final_completion()
    assert (said, final.choices[0].message.content, final.usage.total_tokens) == (["", "Hel", "lo"], "Hello", 10)


def test_structured_outputs_are_parsed(site: Site):
    site.provider.on("one", text('{"city": "Berlin"}'))
    got = client(site).chat.completions.parse(**ASK, response_format=Weather)
    assert got.choices[0].message.parsed == Weather(city="Berlin")
    [body] = site.provider.bodies("one")
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["city"]


def test_a_refusal_comes_back_as_one(site: Site):
    site.provider.on("one", answer(completion(None, message={"refusal": "I cannot help with that."})))
    got = client(site).chat.completions.parse(**ASK, response_format=Weather)
    assert (got.choices[0].message.refusal, got.choices[0].message.parsed) == ("I cannot help with that.", None)


def test_choices_and_logprobs_come_back(site: Site):
    token = {"token": "Hello", "logprob": -0.1, "bytes": [72], "top_logprobs": []}
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": "Hello"},
            "finish_reason": "stop",
            "logprobs": {"content": [token], "refusal": None},
        }
        for index in range(3)
    ]
    site.provider.on("one", answer(completion(choices=choices)))
    got = client(site).chat.completions.create(**ASK, n=3, logprobs=True)
    assert [choice.index for choice in got.choices] == [0, 1, 2]
    assert got.choices[2].logprobs.content[0].to_dict() == token


def test_models_are_listed_and_found(site: Site):
    assert "fake/one" in [model.id for model in client(site).models.list()]
    found = client(site).models.retrieve("fake/one")
    assert (found.id, found.object, found.owned_by) == ("fake/one", "model", "fake")


VECTOR = [0.5, -0.25, 1.0]


def _embedding(vector: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    data = [{"object": "embedding", "index": 0, "embedding": vector}]
    return {"object": "list", "model": "fake-embedding", "data": data, "usage": usage}


def test_embeddings_as_the_client_asks_for_them_unless_told_otherwise(site: Site):
    site.provider.on("one", answer(_embedding(base64.b64encode(struct.pack("<3f", *VECTOR)).decode())))
    got = client(site).embeddings.create(model="fake/one", input=["Hi"], dimensions=3)
    assert (got.data[0].embedding, got.usage.total_tokens) == (VECTOR, 2)
    [received] = site.provider.received
    assert received.path == "/v1/embeddings"
    assert received.body == {"model": "one", "input": ["Hi"], "dimensions": 3, "encoding_format": "base64"}


@pytest.mark.parametrize("given", ["Hi", ["Hi", "there"], [1, 2, 3], [[1, 2], [3]]])
def test_embeddings_as_numbers(given: Any, site: Site):
    site.provider.on("one", answer(_embedding(VECTOR)))
    got = client(site).embeddings.create(model="fake/one", input=given, encoding_format="float")
    assert got.data[0].embedding == VECTOR
    assert site.provider.bodies("one")[0]["input"] == given


def test_the_demo_models_vectors_are_the_same_in_both_encodings(site: Site):
    site.catalogue.demo("echo")
    asked = {"model": "demo/echo", "input": ["Hi", "there"]}
    usual = client(site).embeddings.create(**asked)
    numbers = client(site).embeddings.create(**asked, encoding_format="float")
    assert [len(item.embedding) for item in usual.data] == [8, 8]
    for one, other in zip(usual.data, numbers.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding)


def test_a_wrong_key_is_an_authentication_error(site: Site):
    with pytest.raises(openai.AuthenticationError) as refused:
        client(site, api_key="gw_live_wrong").chat.completions.create(**ASK)
    assert (refused.value.code, refused.value.type) == ("invalid_api_key", "authentication_error")


def test_a_model_beyond_the_keys_list_is_a_permission_error(site: Site):
    _, narrow = APIKey.issue(site.cast.alice.user, "narrow", allowed_models=["other"])
    with pytest.raises(openai.PermissionDeniedError) as refused:
        client(site, api_key=narrow).chat.completions.create(**ASK)
    assert (refused.value.code, refused.value.param) == ("model_not_allowed", "model")


@pytest.mark.parametrize("model", ["nowhere", "fake/nothing"])
def test_an_unknown_model_is_a_not_found_error(model: str, site: Site):
    with pytest.raises(openai.NotFoundError) as refused:
        client(site).chat.completions.create(model=model, messages=MESSAGES)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client(site).models.retrieve(model)


def test_a_bad_request_is_a_bad_request_error(site: Site):
    with pytest.raises(openai.BadRequestError) as refused:
        client(site).chat.completions.create(**ASK, extra_body={"api_base": "http://127.0.0.1:1"})
    assert refused.value.param == "api_base"


FAILURES = [
    (error(400, "invalid_value"), openai.BadRequestError, 400, "invalid_value"),
    (error(422, "unprocessable"), openai.UnprocessableEntityError, 422, "unprocessable"),
    (error(429, "rate_limit_exceeded", retry_after="7"), openai.RateLimitError, 429, "rate_limit_exceeded"),
    (error(503, "overloaded"), openai.InternalServerError, 502, "overloaded"),
    (error(401, "invalid_api_key"), openai.InternalServerError, 502, "provider_credential_rejected"),
]


@pytest.mark.parametrize("failure, kind, status, code", FAILURES, ids=[str(row[2:]) for row in FAILURES])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_failing_provider_is(
    streaming: bool, failure: Any, kind: type[openai.APIStatusError], status: int, code: str, site: Site
):
    site.provider.on("one", failure)
    with pytest.raises(kind) as refused:
        client(site).chat.completions.create(**ASK, stream=streaming, extra_headers={"x-gateway-timeout-s": "5"})
    raised: Any = refused.value
    assert (raised.status_code, raised.code, raised.body["request_id"]) == (status, code, raised.request_id)
    assert [attempt["model"] for attempt in raised.body["attempts"]] == ["fake/one"]
    assert raised.response.headers.get("retry-after") == ("7" if status == 429 else None)


def test_a_provider_that_is_too_slow_is_a_server_error(site: Site):
    async def sleep(*_: Any) -> Any:
        raise AssertionError("not asked")

    site.provider.on("one", sleep)
    with pytest.raises(openai.InternalServerError) as refused:
        client(site).chat.completions.create(**ASK, extra_headers={"x-gateway-timeout-s": "0.001"})
    assert (refused.value.status_code, refused.value.code) == (504, "timeout")


def test_a_stream_that_breaks_off_raises(site: Site):
    site.provider.on("one", stream(chunks("Hel", "lo")[:2], pause_s=0.05, cut=True))
    said = []
    with pytest.raises(openai.APIError) as broken:  # noqa: PT012 - it breaks while it is read
        for event in client(site).chat.completions.create(**ASK, stream=True):
            said.append(event.choices[0].delta.content)
    assert "Hel" in said
    assert "incomplete" in broken.value.message
    assert broken.value.body["request_id"].startswith("req_")


def test_the_request_id_and_the_gateways_headers_are_at_hand(site: Site):
    raw = client(site).chat.completions.with_raw_response.create(**ASK)
    assert raw.headers["x-request-id"] == raw.parse()._request_id
    assert raw.headers["x-gateway-model"] == "fake/one"
    assert raw.headers["x-gateway-attempts"] == "1"


def test_the_key_may_come_as_x_api_key(site: Site):
    headers = {"x-api-key": site.cast.alice.key}
    assert client(site).chat.completions.create(**ASK, extra_headers={**headers, "Authorization": Omit()})
    assert client(site, api_key="sk-of-another-service").chat.completions.create(**ASK, extra_headers=headers)


def test_a_json_web_token_is_a_key(site: Site):
    given = httpx.post(f"{site.gateway.url}/auth/token", json={"username": "alice", "password": PASSWORD}).json()
    assert client(site, api_key=given["access"]).chat.completions.create(**ASK)
    with pytest.raises(openai.AuthenticationError):
        client(site, api_key=given["refresh"]).chat.completions.create(**ASK)
