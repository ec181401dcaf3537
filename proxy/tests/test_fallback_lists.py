"""A request that names its own models to fall back on."""

import httpx
import pytest

from conftest import Cast, Catalogue, LiveGateway
from proxy.tests.chain_calls import MESSAGES, ask, content
from proxy.tests.fake_provider import FakeProvider, error, text


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
