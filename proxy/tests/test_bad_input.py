"""Bad requests of every kind get the contract's answer: never a 500, never a stack trace."""

import json
from typing import Any

import httpx
import pytest

from proxy.chat import FORBIDDEN
from proxy.tests.conftest import Site
from proxy.tests.wire import assert_refused

MESSAGES = [{"role": "user", "content": "Hi"}]
CHAT = "/v1/chat/completions"
INVALID = "invalid_request_error"


def post(site: Site, content: bytes, path: str = CHAT, **headers: str) -> httpx.Response:
    sent = {"Content-Type": "application/json", **site.cast.alice.headers, **headers}
    return site.http.post(path, content=content, headers=sent)


def ask(site: Site, /, path: str = CHAT, **fields: Any) -> httpx.Response:
    """A chat with these fields; `...` leaves one out."""
    body = {"model": "fake/one", "messages": MESSAGES, **fields}
    return post(site, json.dumps({name: value for name, value in body.items() if value is not ...}).encode(), path)


def with_content(raw: bytes) -> bytes:
    """A chat whose message is this raw JSON."""
    return b'{"model": "fake/one", "messages": [{"role": "user", "content": %s}]}' % raw


def with_field(raw: bytes) -> bytes:
    """A chat with this raw JSON as a further field."""
    return with_content(b'"Hi"')[:-1] + b", %s}" % raw


NOT_JSON = {
    "half a body": b'{"model": "fake/one", "messages": [',
    "text": b"Hello",
    "blanks only": b" \n ",
    "two documents": with_content(b'"Hi"') * 2,
    "a trailing comma": b'{"model": "fake/one",}',
    "single quotes": b"{'model': 'fake/one'}",
    "a form": b"model=fake/one&messages=Hi",
    "a raw NUL": with_content(b'"H\0i"'),
    "an escaped NUL": with_content(b'"H\\u0000i"'),
    "a NUL in a name": with_field(b'"a\\u0000": 1'),
    "a lone surrogate": with_content(b'"\\ud800"'),
    "a lone low surrogate": with_content(b'"\\udc00 Hi"'),
    "surrogates as bytes": with_content(b'"\xed\xa0\x80"'),
    "invalid UTF-8": with_content(b'"\xff\xfe"'),
    "UTF-16": with_content(b'"Hi"').decode().encode("utf-16"),
    "NaN": with_field(b'"temperature": NaN'),
    "Infinity": with_field(b'"temperature": -Infinity'),
    "a number beyond a double": with_field(b'"temperature": 1e999'),
    "a number of 5000 digits": with_field(b'"seed": ' + b"9" * 5000),
    "100 levels of lists": with_field(b'"x": ' + b"[" * 100 + b"]" * 100),
    "100 levels of objects": with_field(b'"x": ' + b'{"x":' * 100 + b"1" + b"}" * 100),
    "100,000 open brackets": b"[" * 100_000,
    "two million lists": with_field(b'"x": [' + b"[]," * 2_000_000 + b"1]"),
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_no_json_for_us_is_refused(body: bytes, site: Site):
    error = assert_refused(post(site, body), 400, INVALID, "invalid_json")
    assert len(error["message"]) < 500
    assert site.provider.received == []


@pytest.mark.parametrize("body", [b"[]", b"[{}]", b'"Hi"', b"1", b"null", b"true"])
def test_a_body_must_be_an_object(body: bytes, site: Site):
    assert_refused(post(site, body), 400, INVALID, "invalid_request")


def test_an_empty_body_names_what_is_missing(site: Site):
    assert_refused(post(site, b""), 400, INVALID, "invalid_request", "model")


TYPES = [
    "application/x-www-form-urlencoded",
    "text/plain",
    "multipart/form-data; boundary=x",
    "text/json",
    "/",
    ";;;",
    "",
]


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
def test_other_types_than_json_are_refused(path: str, content_type: str, site: Site):
    response = post(site, with_content(b'"Hi"'), path, **{"Content-Type": content_type})
    assert_refused(response, 415, INVALID, "unsupported_media_type")


WRONG: dict[str, list[Any]] = {
    "model": [1, True, ["fake/one"], {"name": "fake/one"}, "", "  "],
    "messages": ["Hi", {"role": "user"}, 1, True, []],
    "stream": ["true", 1, 0, [], {}],
    "stream_options": ["include_usage", True, []],
    "temperature": ["hot", True, [1], {}],
    "top_p": ["1", True, [1]],
    "presence_penalty": ["1", True, {}],
    "frequency_penalty": ["1", True, {}],
    "n": ["2", 0, -1, 1.5, True, [1], 129, 10**6, 10**30],
    "max_tokens": ["10", 0, -5, 1.5, True, [], 10**9 + 1, 2**63, 10**30],
    "max_completion_tokens": ["10", 0, 2.5, False, 10**15],
    "seed": ["1", 1.5, True],
    "top_logprobs": ["1", 1.5, True],
    "logprobs": [1, "yes"],
    "stop": [1, True, {}],
    "tools": [{}, "search", 1, True],
    "tool_choice": [1, True, []],
    "parallel_tool_calls": ["no", 0],
    "response_format": ["json", [], True],
    "logit_bias": [[], "x", 1],
    "user": [1, [], {}],
    "metadata": ["x", [], 1],
    "modalities": ["text", {}],
    "audio": ["x", []],
    "reasoning_effort": [1, [], {}],
    "models": ["fake/one", {}, 1],
    "fallbacks": ["fake/one", {}, True],
}


@pytest.mark.parametrize("field, value", [(field, value) for field, values in WRONG.items() for value in values])
def test_a_wrong_type_names_its_field(field: str, value: Any, site: Site):
    assert_refused(ask(site, **{field: value}), 400, INVALID, "invalid_request", field)
    assert site.provider.received == []


@pytest.mark.parametrize("field", sorted(WRONG.keys() - {"model", "messages"}))
def test_null_counts_as_left_out(field: str, site: Site):
    nothing: dict[str, Any] = {field: None}
    assert ask(site, **nothing).status_code == 200


WRONG_MESSAGES: dict[str, tuple[Any, str]] = {
    "a text": ("Hi", "messages[1]"),
    "null": (None, "messages[1]"),
    "a list": ([], "messages[1]"),
    "no role": ({"content": "Hi"}, "messages[1].role"),
    "a number as role": ({"role": 1, "content": "Hi"}, "messages[1].role"),
    "a number as content": ({"role": "user", "content": 1}, "messages[1].content"),
    "an object as content": ({"role": "user", "content": {"text": "Hi"}}, "messages[1].content"),
}


@pytest.mark.parametrize("message, param", WRONG_MESSAGES.values(), ids=WRONG_MESSAGES.keys())
def test_a_wrong_message_is_named_by_its_place(message: Any, param: str, site: Site):
    assert_refused(ask(site, messages=[*MESSAGES, message]), 400, INVALID, "invalid_request", param)


MISSING = {
    "model": ({"model": ...}, "model"),
    "model, though the list is there": ({"model": ..., "models": []}, "model"),
    "messages": ({"messages": ...}, "messages"),
    "messages, null": ({"messages": None}, "messages"),
}


@pytest.mark.parametrize("fields, param", MISSING.values(), ids=MISSING.keys())
def test_what_is_missing_is_named(fields: dict[str, Any], param: str, site: Site):
    assert_refused(ask(site, **fields), 400, INVALID, "invalid_request", param)


LISTS: dict[str, tuple[Any, str]] = {
    "none": (..., "models"),
    "null": (None, "models"),
    "empty": ([], "models"),
    "a text": ("fake/one", "models"),
    "a number in it": (["fake/one", 1], "models[1]"),
    "an empty name": (["fake/one", ""], "models[1]"),
    "eleven names": ([f"m{n}" for n in range(11)], "models"),
}


@pytest.mark.parametrize("models, param", LISTS.values(), ids=LISTS.keys())
def test_fallback_completion_names_what_is_wrong_with_its_list(models: Any, param: str, site: Site):
    response = ask(site, "/chat/fallback_completion", model=..., models=models)
    assert_refused(response, 400, INVALID, "invalid_request", param)


# Those that the contract names or that lead elsewhere, whatever else the gateway refuses.
ELSEWHERE = {"api_base", "api_key", "base_url", "proxy", "extra_headers", "custom_llm_provider", "litellm_params"}


@pytest.mark.parametrize("field", sorted(FORBIDDEN | ELSEWHERE))
@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings"])
def test_where_calls_go_is_not_for_callers_to_say(path: str, field: str, site: Site):
    response = ask(site, path, input="Hi", **{field: "http://127.0.0.1:1/"})
    assert_refused(response, 400, INVALID, "invalid_request", field)
    assert site.provider.received == []


NAMES = [
    "nowhere",
    "fake/two",
    "one/fake",
    "FAKE/ONE",
    "fake/one ",
    "x" * 100_000,
    "a\r\nX-Evil: 1",
    "../../etc/passwd",
    "é",
    "‮",
]


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name[:20]))
def test_an_unknown_model_is_not_found(name: str, site: Site):
    error = assert_refused(ask(site, model=name), 404, INVALID, "model_not_found", "model")
    assert len(error["message"]) < 300


EMBEDDINGS = {
    "no input": ({"model": "fake/one"}, "input"),
    "empty input": ({"model": "fake/one", "input": ""}, "input"),
    "an empty list": ({"model": "fake/one", "input": []}, "input"),
    "a number": ({"model": "fake/one", "input": 1}, "input"),
    "no model": ({"input": "Hi"}, "model"),
    "a list of models": ({"model": ["fake/one"], "input": "Hi"}, "model"),
    "a text as dimensions": ({"model": "fake/one", "input": "Hi", "dimensions": "8"}, "dimensions"),
    "a number as format": ({"model": "fake/one", "input": "Hi", "encoding_format": 1}, "encoding_format"),
}


@pytest.mark.parametrize("body, param", EMBEDDINGS.values(), ids=EMBEDDINGS.keys())
def test_a_wrong_embedding_request_names_its_field(body: dict[str, Any], param: str, site: Site):
    response = post(site, json.dumps(body).encode(), "/v1/embeddings")
    assert_refused(response, 400, INVALID, "invalid_request", param)


OPTIONS = {
    "x-gateway-timeout-s": ["soon", "-1", "0", "nan", "inf", "1e999", "1,5"],
    "x-gateway-stream-guard": ["on", "BUFFERED", "buffered, live"],
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in OPTIONS.items() for value in values])
def test_a_wrong_option_names_its_header(name: str, value: str, site: Site):
    assert_refused(post(site, with_content(b'"Hi"'), **{name: value}), 400, INVALID, "invalid_request", name)


ODD_BUT_FINE = {
    "a field given twice: the last counts": b'{"model": "nowhere", ' + with_content(b'"Hi"')[1:],
    "64 levels": with_field(b'"x": ' + b"[" * 63 + b"]" * 63),
    "20,000 messages": json.dumps({"model": "fake/one", "messages": MESSAGES * 20_000}).encode(),
    "parts of every kind": with_content(b'[1, null, "x", {}, {"type": "text", "text": 5}, {"type": "image_url"}]'),
    "tools of every kind": with_field(b'"tools": [1, null, {}, []]'),
    "the most choices of the most tokens": with_field(b'"n": 128, "max_tokens": 1000000000'),
    "an empty list of further models": with_field(b'"models": []'),
    "emoji as surrogate pairs": with_content(b'"\\ud83d\\ude00"'),
}


@pytest.mark.parametrize("body", ODD_BUT_FINE.values(), ids=ODD_BUT_FINE.keys())
def test_odd_requests_are_the_providers_business(body: bytes, site: Site):
    assert post(site, body).status_code == 200
    assert len(site.provider.received) == 1
