"""What the gateway answers is what `/api/schema` describes."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from pytest_django import DjangoDbBlocker, Settings
from redis.exceptions import ConnectionError as RedisDown

from accounts.ledger import Ledger
from accounts.tests.tables import empty_tables
from conftest import PASSWORD, Cast, Catalogue, live_gateway, make_cast
from gateway_project.tests.described import CHAT, MESSAGES, Document, events, generated
from proxy.tests.fake_provider import FakeProvider, answer, chunks, completion, error, hang, stream

ECHO = {"model": "demo", "messages": MESSAGES}


@dataclass
class Site:
    """A gateway with the demo models, some that are scripted to fail, and the cast."""

    cast: Cast
    provider: FakeProvider
    http: httpx.Client


@pytest.fixture(scope="module")
def site(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    """One gateway for all tests, which leave the database as it is."""
    with django_db_blocker.unblock(), FakeProvider() as provider:
        cast, catalogue = make_cast(), Catalogue(provider)
        cast.bob.key_row.allowed_models = ["demo"]
        cast.bob.key_row.save()
        echo, *failing = (catalogue.demo(name) for name in ("echo", "down", "ratelimited", "flaky", "cut"))
        catalogue.chain("demo", failing[0], echo)
        catalogue.chain("empty")
        for name, behaviour in SCRIPTS.items():
            catalogue.model(f"fake/{name}")
            provider.on(name, behaviour)
        with (
            live_gateway() as gateway,
            httpx.Client(base_url=gateway.url, headers=cast.alice.headers, timeout=30) as http,
        ):
            yield Site(cast, provider, http)
        empty_tables()


TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
SCRIPTS = {
    "rich": answer(
        completion(
            None,
            message={"refusal": None, "tool_calls": [TOOL_CALL], "annotations": []},
            choice={"finish_reason": "tool_calls", "logprobs": None},
            system_fingerprint=None,
            x_provider={"new": "field"},
        )
    ),
    "streaming": stream(chunks("Hel", "lo")),
    "breaking": stream(chunks("Hel", "lo")[:2], cut=True),
    "hanging": hang,
    "refusing": error(400, "invalid_value"),
    "unprocessable": error(422, "unprocessable"),
}


@pytest.fixture(scope="module")
def document() -> Document:
    return generated()


# Answers --------------------------------------------------------------------------------------------------------------


def test_the_served_document_is_this_one(site: Site, document: Document):
    response = site.http.get("/api/schema", headers={"Accept": "application/json"})
    assert response.headers["content-type"].startswith("application/json")
    assert response.json() == document.data


def test_every_example_of_a_request_is_answered_by_the_demo_models(site: Site, document: Document):
    answered = []
    for path, method, operation in document.operations():
        content = operation.get("requestBody", {}).get("content", {})
        for example in content.get("application/json", {}).get("examples", {}).values():
            response = site.http.request(method, path, json=example["value"])
            assert response.status_code == 200, response.text
            document.check(response, path)
            answered.append(operation["operationId"])
    assert {"create_chat_completion", "create_fallback_completion", "create_embedding"} <= set(answered)


READS = {
    "the models": ("/v1/models", "/v1/models"),
    "the models by their alias": ("/models", "/models"),
    "a chain": ("/v1/models/{name}", "/v1/models/demo"),
    "a chain by the alias": ("/models/{name}", "/models/demo"),
    "a model": ("/v1/models/{name}", "/v1/models/fake/rich"),
    "a model whose slash is quoted": ("/v1/models/{name}", "/v1/models/fake%2Frich"),
    "the month": ("/v1/usage", "/v1/usage"),
    "liveness": ("/health", "/health"),
    "readiness": ("/health/ready", "/health/ready"),
    "the front page for programs": ("/", "/"),
}


@pytest.mark.parametrize(("route", "path"), READS.values(), ids=READS.keys())
def test_what_is_read_is_described(route: str, path: str, site: Site, document: Document):
    response = site.http.get(path)
    assert response.status_code == 200
    document.check(response, route)


def test_the_front_page_for_browsers_is_described(site: Site, document: Document):
    response = site.http.get("/", headers={"Accept": "text/html"})
    assert response.headers["content-type"].startswith("text/html")
    document.check(response, "/")


def test_an_answer_that_is_given_again_is_described_and_so_is_a_conflict(site: Site, document: Document):
    headers = {"Idempotency-Key": "described"}
    first, again = (site.http.post(CHAT, json=ECHO, headers=headers) for _ in range(2))
    assert (first.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    document.check(again, CHAT)
    conflict = site.http.post(CHAT, json={**ECHO, "temperature": 1}, headers=headers)
    assert_refused(conflict, 409, "idempotency_conflict")
    document.check(conflict, CHAT)


@pytest.mark.parametrize("model", ["demo/echo", "demo/down"])
def test_a_comparison_that_is_told_again_is_described(model: str, site: Site, document: Document):
    headers, body = {"Idempotency-Key": f"described {model}"}, {"models": [model, model], "prompt": "Hello"}
    _, again = (site.http.post("/compare_models", json=body, headers=headers) for _ in range(2))
    assert again.headers["idempotent-replayed"] == "true"
    document.check(again, "/compare_models")
    conflict = site.http.post("/compare_models", json={**body, "title": "another"}, headers=headers)
    assert_refused(conflict, 409, "idempotency_conflict")
    document.check(conflict, "/compare_models")


def test_fields_that_a_provider_adds_are_described(site: Site, document: Document):
    response = _chat(site, "fake/rich")
    assert response.json()["x_provider"] == {"new": "field"}
    document.check(response, CHAT)


@pytest.mark.parametrize("stream_options", [None, {"include_usage": True}], ids=["without usage", "with usage"])
def test_every_event_of_a_stream_is_described(stream_options: Any, site: Site, document: Document):
    response = _chat(site, "fake/streaming", stream=True, stream_options=stream_options)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert len(events(response.text)) >= 4
    document.check(response, CHAT)


def test_the_end_of_a_stream_that_broke_off_is_described(site: Site, document: Document):
    response = _chat(site, "fake/breaking", stream=True)
    assert json.loads(events(response.text)[-1])["error"]["code"] == "connection_broken"
    document.check(response, CHAT)


def test_tokens_are_described(site: Site, document: Document):
    def post(route: str, **body: str) -> dict[str, Any]:
        response = site.http.post(route, json=body)
        assert response.status_code == 200
        document.check(response, route)
        answer: dict[str, Any] = response.json()
        return answer

    pair = post("/auth/token", username="alice", password=PASSWORD)
    post("/auth/token/verify", token=pair["access"])
    pair = post("/auth/token/refresh", refresh=pair["refresh"])
    post("/auth/logout", refresh=pair["refresh"])


# Refusals -------------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[int, str, dict[str, Any]]] = {
    "a wrong type": (400, "invalid_request", {"max_tokens": "many"}),
    "a forbidden field": (400, "invalid_request", {"api_base": "http://elsewhere"}),
    "what the provider finds wrong": (400, "invalid_value", {"model": "fake/refusing"}),
    "what the provider cannot process": (422, "unprocessable", {"model": "fake/unprocessable"}),
    "an unknown model": (404, "model_not_found", {"model": "gpt-0"}),
    "a rate-limited chain": (429, "rate_limit_exceeded", {"model": "demo/ratelimited"}),
    "a chain that is down": (502, "connect_failed", {"model": "demo/down"}),
    "an empty chain": (503, "no_usable_model", {"model": "empty"}),
    "a silent model": (504, "timeout", {"model": "fake/hanging"}),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("status", "code", "fields"), REFUSED.values(), ids=REFUSED.keys())
def test_the_refusal_of_a_chat_is_described(
    status: int, code: str, fields: dict[str, Any], streamed: bool, site: Site, document: Document
):
    body = {"model": "demo", "messages": MESSAGES, "stream": streamed, **fields}
    response = site.http.post(CHAT, json=body, headers={"x-gateway-timeout-s": "0.4"})
    assert_refused(response, status, code)
    document.check(response, CHAT)


@pytest.mark.parametrize("route", [CHAT, "/chat/fallback_completion", "/v1/embeddings"])
def test_what_cannot_be_read_is_refused_as_described(route: str, site: Site, document: Document):
    for status, code, content, media_type in (
        (400, "invalid_json", b"{", "application/json"),
        (415, "unsupported_media_type", b"Hello", "text/plain"),
    ):
        response = site.http.post(route, content=content, headers={"Content-Type": media_type})
        assert_refused(response, status, code)
        document.check(response, route)


def test_a_body_that_is_too_large_is_refused_as_described(site: Site, document: Document, settings: Settings):
    settings.GATEWAY_MAX_BODY_BYTES = 1000
    response = _chat(site, "demo", user="x" * 1000)
    assert_refused(response, 413, "body_too_large")
    document.check(response, CHAT)


def test_a_body_that_is_too_slow_is_refused_as_described(site: Site, document: Document, settings: Settings):
    settings.GATEWAY_BODY_TIMEOUT_S = 0.1

    def slowly() -> Iterator[bytes]:
        yield b"{"
        time.sleep(0.5)
        yield b"}"

    response = site.http.post(CHAT, content=slowly(), headers={"Content-Type": "application/json"})
    assert_refused(response, 408, "request_timeout")
    document.check(response, CHAT)


@pytest.mark.parametrize(
    ("method", "route"), [("GET", CHAT), ("DELETE", "/v1/models"), ("POST", "/health"), ("GET", "/auth/token")]
)
def test_a_wrong_method_is_refused_as_described(method: str, route: str, site: Site, document: Document):
    response = site.http.request(method, route)
    assert_refused(response, 405, "method_not_allowed")
    document.check(response, route)


@pytest.mark.parametrize("route", ["/v1/models", "/models", "/v1/models/demo", CHAT])
def test_a_wrong_credential_is_refused_as_described(route: str, site: Site, document: Document):
    headers = {"Authorization": "Bearer gw_live_wrong"}
    if route == CHAT:
        response = site.http.post(route, json={"model": "demo", "messages": MESSAGES}, headers=headers)
    else:
        response = site.http.get(route, headers=headers)
    assert_refused(response, 401, "invalid_api_key")
    document.check(response, route.replace("/demo", "/{name}"))


def test_a_model_that_a_key_may_not_use_is_refused_as_described(site: Site, document: Document):
    asked = site.http.post(CHAT, json={"model": "demo/echo", "messages": MESSAGES}, headers=site.cast.bob.headers)
    read = site.http.get("/v1/models/demo/echo", headers=site.cast.bob.headers)
    for response, route in ((asked, CHAT), (read, "/v1/models/{name}")):
        assert_refused(response, 403, "model_not_allowed")
        document.check(response, route)


def test_an_unknown_model_is_not_found_as_described(site: Site, document: Document):
    response = site.http.get("/v1/models/gpt-0")
    assert_refused(response, 404, "model_not_found")
    document.check(response, "/v1/models/{name}")


def test_an_unknown_address_has_the_same_envelope(site: Site, document: Document):
    response = site.http.get("/v1/nothing")
    assert_refused(response, 404, "not_found")
    document.check_value(response.json(), {"$ref": "#/components/schemas/ErrorEnvelope"})


def test_what_a_lost_redis_refuses_is_described(site: Site, document: Document, monkeypatch: pytest.MonkeyPatch):
    async def away(*args: object) -> None:
        raise RedisDown

    monkeypatch.setattr(Ledger, "admit", away)
    monkeypatch.setattr(Ledger, "current_epoch", away)
    refused, not_ready = _chat(site, "demo"), site.http.get("/health/ready")
    assert_refused(refused, 503, "ledger_unavailable")
    document.check(refused, CHAT)
    assert (not_ready.status_code, not_ready.json()["status"]) == (503, "not_ready")
    document.check(not_ready, "/health/ready")


TOKEN_REFUSED: dict[str, tuple[int, str, dict[str, Any]]] = {
    "a missing field": (400, "invalid_request", {"json": {"username": "alice"}}),
    "a wrong password": (401, "invalid_api_key", {"json": {"username": "alice", "password": "guess"}}),
    "another form": (406, "not_acceptable", {"json": {}, "headers": {"Accept": "text/html"}}),
    "a form": (415, "unsupported_media_type", {"data": {"username": "alice"}}),
}


@pytest.mark.parametrize(("status", "code", "request_"), TOKEN_REFUSED.values(), ids=TOKEN_REFUSED.keys())
def test_the_refusal_of_a_token_is_described(
    status: int, code: str, request_: dict[str, Any], site: Site, document: Document
):
    response = site.http.post("/auth/token", **request_)
    assert_refused(response, status, code)
    document.check(response, "/auth/token")


def test_too_many_attempts_are_refused_as_described(site: Site, document: Document):
    # More than two windows of a minute allow, as one may end in between.
    responses = [site.http.post("/auth/token", json={}) for _ in range(25)]
    refused = next(response for response in responses if response.status_code == 429)
    assert_refused(refused, 429, "rate_limit_exceeded")
    document.check(refused, "/auth/token")


def _chat(site: Site, model: str, **fields: Any) -> httpx.Response:
    return site.http.post(CHAT, json={"model": model, "messages": MESSAGES, **fields})


def assert_refused(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["error"]["code"]) == (status, code), response.text
