"""How long a chain waits: for a first token, for all attempts together, and after a `Retry-After`."""

import time

import httpx

from conftest import Cast, Catalogue, LiveGateway
from proxy.tests.chain_calls import MESSAGES, ask, codes, content
from proxy.tests.fake_provider import FakeProvider, chunk, chunks, error, hang, stream, text, then_hang


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


def test_the_last_model_is_waited_for_when_it_says_how_long(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", error(429, "rate_limit_exceeded", retry_after="5"))
    provider.on("two", error(429, "rate_limit_exceeded", retry_after_ms="200"), text("After the wait"))
    answer = ask(gateway, cast)
    assert content(answer) == "After the wait"
    assert float(answer.headers["x-gateway-overhead-ms"]) < 200, "the wait is not the gateway's own time"
    assert len(provider.bodies("one")) == 1


def test_a_link_may_wait_for_a_short_retry_after(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    patient = {"model": catalogue.model("fake/one"), "retry_after_max_s": 1}
    catalogue.chain("chain", patient, catalogue.model("fake/two"))
    provider.on("one", error(429, "rate_limit_exceeded", retry_after_ms="100"), text("First, after the wait"))
    assert content(ask(gateway, cast)) == "First, after the wait"
    assert provider.bodies("two") == []
