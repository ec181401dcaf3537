"""A model that keeps failing is passed over for a while."""

import httpx

from conftest import Cast, Catalogue, LiveGateway
from proxy.tests.chain_calls import MESSAGES, ask, codes, content
from proxy.tests.fake_provider import FakeProvider, error, hang, text


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
