"""The walk over a chain: what moves on, what does not, and what the answer then says."""

import time

import httpx
import pytest

from conftest import Cast, Catalogue, LiveGateway
from proxy.models import Provider
from proxy.tests.fake_provider import (
    Behaviour,
    FakeProvider,
    answer,
    chunk,
    chunks,
    completion,
    error,
    hang,
    reset,
    stream,
    text,
    then_hang,
)

MESSAGES = [{"role": "user", "content": "Hi"}]


def ask(gateway: LiveGateway, cast: Cast, model: str = "chain", **fields: object) -> httpx.Response:
    body = {"model": model, "messages": MESSAGES, **fields}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=cast.alice.headers, timeout=20)


def content(response: httpx.Response) -> str:
    return str(response.json()["choices"][0]["message"]["content"])


def codes(response: httpx.Response) -> list[tuple[str, str]]:
    return [(attempt["model"], attempt["code"]) for attempt in response.json()["error"]["attempts"]]


MOVES_ON = {
    "a 503": error(503, "overloaded"),
    "a 408": error(408),
    "a 409": error(409),
    "a 429": error(429, "rate_limit_exceeded"),
    "our key refused (401)": error(401, "invalid_api_key"),
    "our key forbidden (403)": error(403),
    "our credit used up (402)": error(402),
    "HTML instead of JSON": answer(b"<html>oops</html>"),
    "JSON without choices": answer({"object": "chat.completion"}),
    "choices of another shape": answer({"choices": ["Hello"]}),
    "an error object with status 200": answer({"error": {"message": "No.", "code": 503}}),
    "an empty answer": answer(completion("")),
    "a null answer": answer(completion(None)),
    "an unexpected redirect": answer(b"", status=302, headers={"Location": "http://127.0.0.1:9/"}),
}


@pytest.mark.parametrize("failure", MOVES_ON.values(), ids=MOVES_ON.keys())
def test_the_next_model_answers_after(
    failure: Behaviour, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", failure)
    provider.on("two", text("Second"))
    response = ask(gateway, cast)
    assert (response.status_code, content(response)) == (200, "Second")
    assert response.headers["x-gateway-model"] == "fake/two"
    assert response.headers["x-gateway-provider"] == "fake"
    assert response.headers["x-gateway-attempts"] == "2"
    assert len(provider.bodies("one")) == 1


STREAM_MOVES_ON = {
    "a 503": error(503),
    "an error event": stream([{"error": {"message": "No.", "code": "server_error"}}], done=False),
    "a rate limit event": stream([{"error": {"message": "No.", "code": 429}}], done=False),
    "an end before any content": stream([chunk({"role": "assistant", "content": ""})], done=False),
    "a cut before any content": stream([chunk({"role": "assistant"})], cut=True),
    "an empty answer": stream(chunks()),
    "a body that is no JSON": stream([b"data: oops\n\n"]),
    "JSON instead of a stream": text("not a stream"),
}


@pytest.mark.parametrize("failure", STREAM_MOVES_ON.values(), ids=STREAM_MOVES_ON.keys())
def test_a_stream_falls_back_before_its_first_content_after(
    failure: Behaviour, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", failure)
    provider.on("two", stream(chunks("Sec", "ond")))
    got = gateway.sdk(cast.alice).chat.completions.create(model="chain", messages=MESSAGES, stream=True)
    assert "".join(event.choices[0].delta.content or "" for event in got if event.choices) == "Second"


def test_a_provider_that_cannot_be_reached_is_passed_over(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    nowhere = Provider.objects.create(name="nowhere", kind="openai", base_url="http://127.0.0.1:9/v1", needs_key=False)
    catalogue.chain("chain", catalogue.model("nowhere/x", provider=nowhere), catalogue.model("fake/two"))
    provider.on("two", text("Second"))
    assert content(ask(gateway, cast)) == "Second"


ADVICE = {"chain": "add a model to the chain", "demo/down": "ask a chain", "demo/down demo/cut": "name more models"}


@pytest.mark.parametrize(("names", "advice"), ADVICE.items())
def test_who_got_no_answer_is_told_what_would_help(
    names: str, advice: str, gateway: LiveGateway, cast: Cast, catalogue: Catalogue
):
    catalogue.chain("chain", catalogue.demo("down"), catalogue.demo("cut"))
    message = ask(gateway, cast, model=names.split()[0], models=names.split()).json()["error"]["message"]
    assert message.startswith("No model answered: demo/down (connect_failed)")
    assert advice in message


@pytest.mark.parametrize("failure", [error(500), reset], ids=["a 500", "a reset"])
def test_the_same_model_is_asked_once_more_after(
    failure: Behaviour, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", failure, text("First, at the second try"))
    response = ask(gateway, cast)
    assert content(response) == "First, at the second try"
    assert response.headers["x-gateway-attempts"] == "2"


@pytest.mark.parametrize("failure", [error(500), reset], ids=["500s", "resets"])
def test_the_next_model_answers_after_two(
    failure: Behaviour, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", failure)
    provider.on("two", text("Second"))
    assert content(ask(gateway, cast)) == "Second"
    assert len(provider.bodies("one")) == 2


CLIENT_FAULTS = {
    "a 400": (400, "invalid_value"),
    "a 404": (404, "model_not_found"),
    "a 422": (422, "unprocessable"),
    "a content-policy refusal": (400, "content_policy_violation"),
}


@pytest.mark.parametrize(("status", "code"), CLIENT_FAULTS.values(), ids=CLIENT_FAULTS.keys())
def test_the_callers_own_error_is_passed_on(
    status: int, code: str, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", error(status, code, "Your request is wrong."))
    response = ask(gateway, cast)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert response.json()["error"]["message"] == "Your request is wrong."
    assert provider.bodies("two") == []


def test_a_chain_may_fall_back_on_the_callers_errors(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    links = catalogue.model("fake/one"), catalogue.model("fake/two")
    catalogue.chain("chain", *links, fall_back_on_client_errors=True)
    provider.on("one", error(400, "invalid_value"))
    provider.on("two", text("Second"))
    assert content(ask(gateway, cast)) == "Second"


def test_a_chain_may_fall_back_on_content_policy_refusals(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    links = catalogue.model("fake/one"), catalogue.model("fake/two")
    catalogue.chain("chain", *links, fall_back_on_content_policy=True)
    provider.on("one", error(400, "content_policy_violation"))
    provider.on("two", text("Second"))
    assert content(ask(gateway, cast)) == "Second"


def test_a_prompt_too_long_goes_to_a_model_with_a_larger_window(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    small, same, large = (
        catalogue.model(f"fake/{name}", context_window=window)
        for name, window in (("small", 8000), ("same", 8000), ("large", 128_000))
    )
    catalogue.chain("chain", small, same, large)
    provider.on("small", error(400, "context_length_exceeded"))
    provider.on("large", text("It fits"))
    assert content(ask(gateway, cast)) == "It fits"
    assert provider.bodies("same") == []


def test_a_prompt_too_long_for_every_model_is_the_callers_error(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain(
        "chain", catalogue.model("fake/one", context_window=8000), catalogue.model("fake/two", context_window=8000)
    )
    provider.on("one", error(400, "context_length_exceeded"))
    response = ask(gateway, cast)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_the_first_token_timeout_moves_on(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    slow = {"model": catalogue.model("fake/one"), "first_token_timeout_s": 0.2}
    catalogue.chain("chain", slow, catalogue.model("fake/two"))
    provider.on("one", hang)
    provider.on("two", text("Second"))
    began = time.monotonic()
    assert content(ask(gateway, cast)) == "Second"
    assert time.monotonic() - began < 5
    assert provider.received[0].hung_up.wait(2), "the slow provider's call was not ended"


def test_a_stream_without_content_in_time_moves_on(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    slow = {"model": catalogue.model("fake/one"), "first_token_timeout_s": 0.2}
    catalogue.chain("chain", slow, catalogue.model("fake/two"))
    provider.on("one", then_hang([chunk({"role": "assistant", "content": ""})]))
    provider.on("two", stream(chunks("Second")))
    got = gateway.sdk(cast.alice).chat.completions.create(model="chain", messages=MESSAGES, stream=True)
    assert "".join(event.choices[0].delta.content or "" for event in got if event.choices) == "Second"
    assert provider.received[0].hung_up.wait(2)


def test_the_deadline_bounds_all_attempts_together(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", *(catalogue.model(f"fake/{n}") for n in ("one", "two", "three")), deadline_s=0.3)
    provider.on("one", hang)
    response = ask(gateway, cast)
    assert response.status_code == 504
    assert codes(response) == [("fake/one", "timeout")]


def test_a_caller_may_shorten_the_deadline(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.model("fake/one")
    provider.on("one", hang)
    headers = {**cast.alice.headers, "x-gateway-timeout-s": "0.2"}
    body = {"model": "fake/one", "messages": MESSAGES}
    response = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=20)
    assert response.status_code == 504


def test_a_failed_chain_names_every_attempt(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", error(503, "overloaded"))
    provider.on("two", error(429, "rate_limit_exceeded", retry_after="700"))
    response = ask(gateway, cast)
    assert response.status_code == 502
    assert response.json()["error"]["type"] == "upstream_error"
    assert codes(response) == [("fake/one", "overloaded"), ("fake/two", "rate_limit_exceeded")]
    assert response.headers["x-gateway-attempts"] == "2"


def test_all_rate_limited_is_a_429_with_the_shortest_wait(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", error(429, "rate_limit_exceeded", retry_after="300"))
    provider.on("two", error(429, "rate_limit_exceeded", retry_after="700"))
    response = ask(gateway, cast)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "300"


def test_the_last_model_is_waited_for_when_it_says_how_long(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", error(429, "rate_limit_exceeded", retry_after="5"))
    provider.on("two", error(429, "rate_limit_exceeded", retry_after_ms="200"), text("After the wait"))
    assert content(ask(gateway, cast)) == "After the wait"
    assert len(provider.bodies("one")) == 1


def test_a_link_may_wait_for_a_short_retry_after(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    patient = {"model": catalogue.model("fake/one"), "retry_after_max_s": 1}
    catalogue.chain("chain", patient, catalogue.model("fake/two"))
    provider.on("one", error(429, "rate_limit_exceeded", retry_after_ms="100"), text("First, after the wait"))
    assert content(ask(gateway, cast)) == "First, after the wait"
    assert provider.bodies("two") == []


def test_models_in_the_body_are_tried_in_order(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    for name in ("one", "two", "three"):
        catalogue.model(f"fake/{name}")
        provider.on(name, error(503))
    provider.on("three", text("Third"))
    response = ask(gateway, cast, "fake/one", fallbacks=["fake/two", "three"])
    assert content(response) == "Third"
    assert [request.body["model"] for request in provider.received] == ["one", "two", "three"]
    assert all("fallbacks" not in request.body for request in provider.received)


@pytest.mark.parametrize("path", ["/chat/fallback_completion", "/v1/chat/fallback_completion"])
def test_fallback_completion_tries_its_list(
    path: str, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.model("fake/one"), catalogue.model("fake/two")
    provider.on("one", error(503))
    provider.on("two", text("Second"))
    body = {"models": ["fake/one", "fake/two"], "messages": MESSAGES}
    response = httpx.post(gateway.url + path, json=body, headers=cast.alice.headers)
    assert content(response) == "Second"


def test_fallback_completion_wants_a_list(gateway: LiveGateway, cast: Cast):
    body = {"model": "fake/one", "messages": MESSAGES}
    response = httpx.post(f"{gateway.url}/chat/fallback_completion", json=body, headers=cast.alice.headers)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "models")


def test_the_demo_chain_shows_a_fallback(gateway: LiveGateway, cast: Cast, catalogue: Catalogue):
    catalogue.chain("demo", catalogue.demo("down"), catalogue.demo("echo"))
    response = ask(gateway, cast, "demo")
    assert content(response) == "Hi"
    assert (response.headers["x-gateway-model"], response.headers["x-gateway-attempts"]) == ("demo/echo", "2")


def test_an_empty_chain_says_what_is_missing(gateway: LiveGateway, cast: Cast, catalogue: Catalogue):
    catalogue.chain("chain")
    response = ask(gateway, cast)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "no_usable_model")
    assert "add links" in response.json()["error"]["message"]


def test_a_link_whose_provider_has_no_key_is_skipped(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    keyless = Provider.objects.create(name="keyless", kind="openai", api_key_env="NO_SUCH_VARIABLE")
    catalogue.chain("chain", catalogue.model("keyless/x", provider=keyless), catalogue.model("fake/two"))
    provider.on("two", text("Second"))
    response = ask(gateway, cast)
    assert (content(response), response.headers["x-gateway-attempts"]) == ("Second", "1")


def test_a_model_that_keeps_failing_is_passed_over(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", error(503))
    provider.on("two", text("Second"))
    for _ in range(8):
        assert content(ask(gateway, cast)) == "Second"
    assert len(provider.bodies("one")) == 5


def test_a_failing_model_without_alternative_is_asked_all_the_same(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.model("fake/one")
    provider.on("one", error(503))
    for _ in range(7):
        assert ask(gateway, cast, "fake/one").status_code == 502
    provider.on("one", text("Back"))
    assert content(ask(gateway, cast, "fake/one")) == "Back"


def test_a_resting_model_says_nothing_about_why_the_others_failed(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", error(503))
    provider.on("two", text("Second"))
    for _ in range(5):
        ask(gateway, cast)
    provider.on("two", error(429, "rate_limit_exceeded", retry_after="700"))
    response = ask(gateway, cast)
    assert response.status_code == 429
    assert codes(response) == [("fake/one", "breaker_open"), ("fake/two", "rate_limit_exceeded")]


def test_an_impatient_caller_opens_no_breaker_for_others(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", hang)
    headers = {**cast.alice.headers, "x-gateway-timeout-s": "0.05"}
    for _ in range(6):
        body = {"model": "chain", "messages": MESSAGES}
        assert httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers).status_code == 504
    provider.on("one", text("First"))
    assert content(ask(gateway, cast)) == "First"


@pytest.mark.parametrize("streaming", [False, True])
def test_a_provider_that_repeats_our_key_gives_it_to_nobody(
    streaming: bool, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.model("fake/one")
    row = Provider.objects.get(name="fake")
    row.set_api_key("sk-our-own-secret")
    row.save()
    provider.on("one", error(400, "sk-our-own-secret", "Bad key sk-our-own-secret."))
    response = ask(gateway, cast, "fake/one", stream=streaming)
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "Bad key [redacted]."
    assert "sk-our-own-secret" not in response.text
