"""Requests per minute: for everyone, a tenant, a user, a key and an address."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import httpx
import pytest

from accounts.tests.clock import RedisClock
from conftest import Cast, Catalogue, LiveGateway
from proxy.tests.fake_provider import FakeProvider, text

BODY = {"model": "fake/one", "messages": [{"role": "user", "content": "Hi"}]}


def ask(gateway: LiveGateway, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=BODY, headers=headers, timeout=20)


@pytest.fixture(autouse=True)
def _one_model(catalogue: Catalogue, provider: FakeProvider) -> None:
    catalogue.model("fake/one")
    provider.on("one", text("Hello"))


def test_a_users_limit_holds_over_all_keys(gateway: LiveGateway, cast: Cast):
    cast.alice.user.requests_per_minute = 2
    cast.alice.user.save()
    _, second_key = cast.alice.key_row.issue(cast.alice.user, "second")
    assert ask(gateway, cast.alice.headers).headers["x-ratelimit-remaining-requests"] == "1"
    last = ask(gateway, {"x-api-key": second_key})
    assert last.status_code == 200
    assert last.headers["x-ratelimit-limit-requests"] == "2"
    assert last.headers["x-ratelimit-remaining-requests"] == "0"
    refused = ask(gateway, cast.alice.headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert ask(gateway, cast.bob.headers).status_code == 200


@pytest.mark.parametrize("scope", ["tenant", "key"])
def test_a_limit_holds_for_each(scope: str, gateway: LiveGateway, cast: Cast):
    row = cast.acme if scope == "tenant" else cast.alice.key_row
    row.requests_per_minute = 1
    row.save()
    assert ask(gateway, cast.alice.headers).status_code == 200
    assert ask(gateway, cast.alice.headers).status_code == 429
    assert ask(gateway, cast.bob.headers).status_code == (429 if scope == "tenant" else 200)
    assert ask(gateway, cast.charlie.headers).status_code == 200


def test_retry_after_is_exact(gateway: LiveGateway, cast: Cast, redis_clock: RedisClock):
    cast.alice.user.requests_per_minute = 1
    cast.alice.user.save()
    start = datetime(2026, 11, 10, 12, tzinfo=UTC)
    told = []
    for seconds in (0, 12.5, 59.9, 60):
        redis_clock.set(start + timedelta(seconds=seconds))
        told.append(ask(gateway, cast.alice.headers))
    assert [answer.status_code for answer in told] == [200, 429, 429, 200]
    assert [answer.headers.get("retry-after") for answer in told] == [None, "48", "1", None]
    assert [answer.headers["x-ratelimit-reset-requests"] for answer in told] == ["1m0s", "48s", "100ms", "1m0s"]


def test_a_limit_for_everyone_together(gateway: LiveGateway, cast: Cast, settings):
    settings.GATEWAY_GLOBAL_REQUESTS_PER_MINUTE = 2
    statuses = [ask(gateway, member.headers).status_code for member in (cast.alice, cast.bob, cast.charlie)]
    assert statuses == [200, 200, 429]


def test_the_default_limit_is_the_environments(gateway: LiveGateway, cast: Cast, settings):
    settings.GATEWAY_REQUESTS_PER_MINUTE = 3
    cast.alice.user.requests_per_minute = None
    cast.alice.user.save()
    assert [ask(gateway, cast.alice.headers).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_a_refused_request_does_not_count(gateway: LiveGateway, cast: Cast):
    cast.acme.requests_per_minute = 1
    cast.acme.save()
    cast.alice.user.requests_per_minute = 2
    cast.alice.user.save()
    assert [ask(gateway, cast.alice.headers).status_code for _ in range(3)] == [200, 429, 429]
    cast.acme.requests_per_minute = None
    cast.acme.save()
    assert ask(gateway, cast.alice.headers).status_code == 200, "refusals by the tenant's limit ate the user's"


def test_six_hundred_at_once_and_exactly_sixty_pass(gateway: LiveGateway, cast: Cast):
    cast.alice.user.requests_per_minute = 60
    cast.alice.user.save()

    async def ask_once(client: aiohttp.ClientSession) -> int:
        async with client.post(f"{gateway.url}/v1/chat/completions", json=BODY) as answer:
            return answer.status

    async def ask_all() -> list[int]:
        async with aiohttp.ClientSession(headers=cast.alice.headers) as client:
            return await asyncio.gather(*(ask_once(client) for _ in range(600)))

    statuses = asyncio.run(ask_all())
    assert (statuses.count(200), statuses.count(429)) == (60, 540)
