"""An upstream's error that is the caller's own fault is passed on, and moves on only where the chain says so."""

import pytest

from conftest import Cast, Catalogue, LiveGateway
from proxy.models import Provider
from proxy.tests.chain_calls import ask, content
from proxy.tests.fake_provider import FakeProvider, error, text

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
