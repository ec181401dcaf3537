"""A chain of which no model answers says what was tried, and what would help."""

import pytest

from conftest import Cast, Catalogue, LiveGateway
from proxy.tests.chain_calls import ask, codes
from proxy.tests.fake_provider import FakeProvider, error

ADVICE = {"chain": "add a model to the chain", "demo/down": "ask a chain", "demo/down demo/cut": "name more models"}


@pytest.mark.parametrize(("names", "advice"), ADVICE.items())
def test_who_got_no_answer_is_told_what_would_help(
    names: str, advice: str, gateway: LiveGateway, cast: Cast, catalogue: Catalogue
):
    catalogue.chain("chain", catalogue.demo("down"), catalogue.demo("cut"))
    message = ask(gateway, cast, model=names.split()[0], models=names.split()).json()["error"]["message"]
    assert message.startswith("No model answered: demo/down (connect_failed)")
    assert advice in message


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
    assert response.headers["x-gateway-cost-usd"] == "0.000000"


def test_all_rate_limited_is_a_429_with_the_shortest_wait(
    gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.chain("chain", catalogue.model("fake/one"), catalogue.model("fake/two"))
    provider.on("one", error(429, "rate_limit_exceeded", retry_after="300"))
    provider.on("two", error(429, "rate_limit_exceeded", retry_after="700"))
    response = ask(gateway, cast)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "300"


def test_an_empty_chain_says_what_is_missing(gateway: LiveGateway, cast: Cast, catalogue: Catalogue):
    catalogue.chain("chain")
    response = ask(gateway, cast)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "no_usable_model")
    assert "add links" in response.json()["error"]["message"]
