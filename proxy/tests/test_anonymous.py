"""Calls without a credential: public chains only, a small quota for each address."""

import os
import subprocess
import sys
from collections.abc import Callable

import httpx
import pytest

from conftest import Cast, Catalogue, LiveGateway
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, chunks, stream, text

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


def test_what_they_used_is_spent_and_shown(gateway: LiveGateway, recorded: Callable[..., list[Usage]]):
    first = ask(gateway)
    assert first.headers["x-ratelimit-limit-requests"] == "10"
    assert int(first.headers["x-gateway-budget-remaining-tokens"]) < 20_000
    [row] = recorded()
    assert (row.tenant_id, row.user_id, row.username, row.total_tokens) == (None, None, "anonymous", 10)
    usage = httpx.get(f"{gateway.url}/v1/usage").json()
    assert (usage["requests"], usage["prompt_tokens"], usage["completion_tokens"]) == (1, 7, 3)
    [budget] = usage["budgets"]
    assert (budget["scope"], budget["limit"], budget["spent"]) == ("ip", 20_000, 10)


def test_a_spent_quota_is_final_for_the_address(gateway: LiveGateway, settings, recorded: Callable[..., list[Usage]]):
    settings.GATEWAY_TRUSTED_PROXIES = ["127.0.0.1/32"]
    settings.GATEWAY_ANONYMOUS_MONTHLY_TOKENS = 45  # one request's bound, not two answers and another bound
    while ask(gateway, **{"X-Forwarded-For": "2001:db8::1"}).status_code == 200:
        recorded(Usage.objects.count() + 1)
    refused = ask(gateway, **{"X-Forwarded-For": "2001:db8::2"})
    assert refused.json()["error"]["code"] == "insufficient_quota"
    assert refused.headers["x-should-retry"] == "false"
    assert ask(gateway, **{"X-Forwarded-For": "2001:db8:0:1::1"}).status_code == 200


@pytest.mark.parametrize("fields", [{"fallbacks": ["private"]}, {"models": ["public", "private"]}])
def test_no_list_of_models_leads_to_what_is_not_public(fields: dict[str, list[str]], gateway: LiveGateway):
    body = {"model": "public", "messages": MESSAGES, **fields}
    assert httpx.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=20).status_code == 401
    body = {"models": ["public", "private"], "messages": MESSAGES}
    assert httpx.post(f"{gateway.url}/chat/fallback_completion", json=body, timeout=20).status_code == 401


def test_public_chains_stream_too(gateway: LiveGateway, provider: FakeProvider):
    body = {"model": "public", "messages": MESSAGES, "max_tokens": 20, "stream": True}
    provider.on("one", stream(chunks("Hel", "lo")))
    streamed = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=20)
    assert streamed.text.endswith("data: [DONE]\n\n")
    refused = httpx.post(f"{gateway.url}/v1/embeddings", json={"model": "private", "input": "Hi"}, timeout=20)
    assert refused.status_code == 401


@pytest.mark.parametrize(
    "variable", ["GATEWAY_ANONYMOUS", "GATEWAY_ANONYMOUS_REQUESTS_PER_MINUTE", "GATEWAY_ANONYMOUS_MONTHLY_TOKENS"]
)
def test_a_quota_of_nothing_is_like_off(variable: str):
    ask_settings = "from gateway_project import settings; print(settings.GATEWAY_ANONYMOUS)"
    command, environment = [sys.executable, "-c", ask_settings], {**os.environ, variable: "0"}
    assert subprocess.run(command, env=environment, capture_output=True, check=True).stdout == b"False\n"


def test_they_can_be_switched_off(gateway: LiveGateway, settings):
    settings.GATEWAY_ANONYMOUS = False
    assert ask(gateway).status_code == 401


def test_a_key_in_a_cookie_is_no_credential(gateway: LiveGateway, cast: Cast):
    assert ask(gateway, "private", Cookie=f"api_key={cast.alice.key}").status_code == 401


@pytest.mark.parametrize("authorization", ["Bearer gw_live_wrong", "Basic YTpi", "Bearer", "gw_live_x"])
def test_a_wrong_credential_is_never_anonymous(authorization: str, gateway: LiveGateway):
    assert ask(gateway, Authorization=authorization).status_code == 401
