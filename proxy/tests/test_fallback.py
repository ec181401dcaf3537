"""The walk over a chain: after which failures the next model answers."""

import pytest

from conftest import Cast, Catalogue, LiveGateway
from proxy.models import Provider
from proxy.tests.chain_calls import MESSAGES, ask, content
from proxy.tests.fake_provider import (
    Behaviour,
    FakeProvider,
    answer,
    chunk,
    chunks,
    completion,
    error,
    reset,
    stream,
    text,
)

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


def test_the_demo_chain_shows_a_fallback(gateway: LiveGateway, cast: Cast, catalogue: Catalogue):
    catalogue.chain("demo", catalogue.demo("down"), catalogue.demo("echo"))
    response = ask(gateway, cast, "demo")
    assert content(response) == "Hi"
    assert (response.headers["x-gateway-model"], response.headers["x-gateway-attempts"]) == ("demo/echo", "2")


def test_a_link_whose_provider_has_no_key_is_skipped(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    keyless = Provider.objects.create(name="keyless", kind="openai", api_key_env="NO_SUCH_VARIABLE")
    catalogue.chain("chain", catalogue.model("keyless/x", provider=keyless), catalogue.model("fake/two"))
    provider.on("two", text("Second"))
    response = ask(gateway, cast)
    assert (content(response), response.headers["x-gateway-attempts"]) == ("Second", "1")
