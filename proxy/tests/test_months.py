"""Budgets begin anew with the month of each tenant's time zone."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from aiohttp import web

from accounts.callers import user_budget
from accounts.models import MonthlyTally, User
from accounts.tests.clock import RedisClock
from accounts.tests.ledgers import counted
from conftest import Cast, Catalogue, LiveGateway, Member, wait_until
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, completion, text

NOVEMBER_IN_BERLIN = datetime(2026, 11, 30, 22, 59, 50, tzinfo=UTC)
DECEMBER_IN_BERLIN = datetime(2026, 11, 30, 23, 0, 10, tzinfo=UTC)
NOVEMBER_IN_LOS_ANGELES = datetime(2026, 12, 1, 7, 59, 50, tzinfo=UTC)
DECEMBER_IN_LOS_ANGELES = datetime(2026, 12, 1, 8, 0, 10, tzinfo=UTC)
Recorded = Callable[..., list[Usage]]


@pytest.fixture(autouse=True)
def _two_zones(cast: Cast, catalogue: Catalogue, provider: FakeProvider) -> None:
    """A budget that holds one request and no second one."""
    catalogue.model("fake/one", max_output_tokens=1000)
    provider.on("one", text("Hello"))  # 10 tokens
    for tenant, zone in ((cast.acme, "Europe/Berlin"), (cast.globex, "America/Los_Angeles")):
        tenant.time_zone = zone
        tenant.save()
    for member in (cast.alice, cast.charlie):
        member.user.monthly_token_budget = 55
        member.user.save()


def ask(gateway: LiveGateway, member: Member) -> httpx.Response:
    body = {"model": "fake/one", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 30}
    headers = {**member.headers, "Cache-Control": "no-store"}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=20)


def spent(user: User, month: str) -> int:
    return counted(user_budget(user).counter(month))[0]


def spend_it(gateway: LiveGateway, member: Member, month: str) -> None:
    """Ask until nothing else fits."""
    while ask(gateway, member).status_code == 200:
        wait_until(lambda: counted(user_budget(member.user).counter(month))[1] == 0, "the settlement")


def test_two_tenants_begin_their_months_at_different_moments(gateway: LiveGateway, cast: Cast, redis_clock: RedisClock):
    redis_clock.set(NOVEMBER_IN_BERLIN)
    spend_it(gateway, cast.alice, "2026-11")
    spend_it(gateway, cast.charlie, "2026-11")
    told = []
    for moment in (DECEMBER_IN_BERLIN, NOVEMBER_IN_LOS_ANGELES, DECEMBER_IN_LOS_ANGELES):
        redis_clock.set(moment)
        told.append((ask(gateway, cast.alice).status_code, ask(gateway, cast.charlie).status_code))
        wait_until(lambda: counted(user_budget(cast.alice.user).counter("2026-12"))[1] == 0, "the settlement")
    assert told[0] == (200, 429)
    assert told[1][1] == 429
    assert told[2][1] == 200
    wait_until(lambda: spent(cast.charlie.user, "2026-12") == 10, "the settlement")


def test_a_refusal_names_the_first_day_of_the_next_month_there(
    gateway: LiveGateway, cast: Cast, redis_clock: RedisClock
):
    redis_clock.set(DECEMBER_IN_BERLIN)
    for member in (cast.alice, cast.charlie):
        User.objects.filter(pk=member.user.pk).update(monthly_token_budget=1)
    assert "2027-01-01 (Europe/Berlin)" in ask(gateway, cast.alice).json()["error"]["message"]
    assert "2026-12-01 (America/Los_Angeles)" in ask(gateway, cast.charlie).json()["error"]["message"]


def test_a_request_over_midnight_counts_for_the_month_in_which_it_was_admitted(
    gateway: LiveGateway, cast: Cast, redis_clock: RedisClock, provider: FakeProvider, recorded: Recorded
):
    asked, midnight_passed = threading.Event(), threading.Event()

    async def answer_after_midnight(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        asked.set()
        await asyncio.to_thread(midnight_passed.wait, 10)
        return web.json_response(completion())

    provider.on("one", answer_after_midnight, text("Hello"))
    redis_clock.set(NOVEMBER_IN_BERLIN)
    with ThreadPoolExecutor(1) as pool:
        over_midnight = pool.submit(ask, gateway, cast.alice)
        assert asked.wait(10)
        redis_clock.set(DECEMBER_IN_BERLIN)
        assert ask(gateway, cast.alice).status_code == 200, "what November has reserved is not December's"
        midnight_passed.set()
        assert over_midnight.result().status_code == 200
    rows = recorded(2)
    assert sorted((row.month, row.total_tokens) for row in rows) == [("2026-11", 10), ("2026-12", 10)]
    assert spent(cast.alice.user, "2026-11") == spent(cast.alice.user, "2026-12") == 10
    tallies = MonthlyTally.objects.filter(scope="user", subject=str(cast.alice.user.pk)).order_by("month")
    assert [(tally.month, tally.tokens) for tally in tallies] == [("2026-11", 10), ("2026-12", 10)]
