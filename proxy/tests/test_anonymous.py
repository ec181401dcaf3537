"""Calls without a credential: public chains only, a small quota for each address."""

import httpx
import pytest

from conftest import Cast, Catalogue, LiveGateway
from proxy.tests.fake_provider import FakeProvider, text

MESSAGES = [{"role": "user", "content": "Hi"}]


def ask(gateway: LiveGateway, model: str = "public", **headers: str) -> httpx.Response:
    body = {"model": model, "messages": MESSAGES, "max_tokens": 20}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=20)


@pytest.fixture(autouse=True)
def _two_chains(catalogue: Catalogue, provider: FakeProvider) -> None:
    model = catalogue.model("fake/one")
    catalogue.chain("public", model, public=True, cache_ttl_s=0)
    catalogue.chain("private", model)
    provider.on("one", text("Hello"))


def test_a_public_chain_answers(gateway: LiveGateway):
    assert ask(gateway).status_code == 200


@pytest.mark.parametrize("model", ["private", "fake/one", "nowhere"])
def test_everything_else_asks_for_a_key(model: str, gateway: LiveGateway):
    response = ask(gateway, model)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "invalid_api_key")


def test_the_list_shows_public_chains_only(gateway: LiveGateway):
    listed = httpx.get(f"{gateway.url}/v1/models").json()["data"]
    assert [entry["id"] for entry in listed] == ["public"]


def test_requests_are_limited(gateway: LiveGateway, settings):
    settings.GATEWAY_ANONYMOUS_REQUESTS_PER_MINUTE = 2
    assert [ask(gateway).status_code for _ in range(3)] == [200, 200, 429]


def test_tokens_are_limited(gateway: LiveGateway, settings):
    settings.GATEWAY_ANONYMOUS_MONTHLY_TOKENS = 15
    response = ask(gateway)
    assert (response.status_code, response.json()["error"]["code"]) == (429, "insufficient_quota")


def test_each_address_has_its_own(gateway: LiveGateway, settings):
    settings.GATEWAY_TRUSTED_PROXIES = ["127.0.0.1/32"]
    settings.GATEWAY_ANONYMOUS_REQUESTS_PER_MINUTE = 1
    addresses = ["203.0.113.1", "203.0.113.1", "203.0.113.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
    statuses = [ask(gateway, **{"X-Forwarded-For": address}).status_code for address in addresses]
    assert statuses == [200, 429, 200, 200, 429, 200]


def test_they_can_be_switched_off(gateway: LiveGateway, settings):
    settings.GATEWAY_ANONYMOUS = False
    assert ask(gateway).status_code == 401


def test_a_key_in_a_cookie_is_no_credential(gateway: LiveGateway, cast: Cast):
    assert ask(gateway, "private", Cookie=f"api_key={cast.alice.key}").status_code == 401


@pytest.mark.parametrize("authorization", ["Bearer gw_live_wrong", "Basic YTpi", "Bearer", "gw_live_x"])
def test_a_wrong_credential_is_never_anonymous(authorization: str, gateway: LiveGateway):
    assert ask(gateway, Authorization=authorization).status_code == 401
