"""Several requests of one caller that are admitted together, and requests that may not be under way at once."""

from typing import Any

import pytest

from accounts.errors import GatewayError, RateLimited
from accounts.ledger import Ask, Ledger, Reservation, Settlement, keys
from accounts.ledger.refusals import BudgetReserved, BudgetSpent
from accounts.limits import Budget, ConcurrencyLimit, Month, RateLimit
from accounts.quota import Quota
from accounts.redis import sync_client
from accounts.tests.ledgers import counted, with_ledger
from accounts.tests.test_admission import UTC

BUDGET = Budget("user", "1", 100)
GATE = ConcurrencyLimit("key", "k1", 2)


def ask(ledger: Ledger, *request_ids: str, tokens: int = 30, **fields: object) -> Ask:
    requests = [Reservation(request_id, b"{}", tokens) for request_id in request_ids]
    return Ask(1, Quota(Month.at(ledger.now_ms(), UTC), **fields), requests)  # type: ignore[arg-type]


def test_several_requests_reserve_together_and_settle_apart():
    async def work(ledger: Ledger) -> str:
        asked = ask(ledger, "a", "b", "c", budgets=[BUDGET])
        await ledger.admit(asked)
        [counter] = asked.quota.counters
        assert counted(counter) == (0, 90)
        await ledger.settle(Settlement("b", b"{}", tokens=10, counters=(counter,)))
        return counter

    assert counted(with_ledger(work)) == (10, 60)


def test_none_of_them_is_admitted_where_not_all_fit_the_budget():
    async def work(ledger: Ledger) -> str:
        asked = ask(ledger, "a", "b", "c", "d", budgets=[BUDGET])
        with pytest.raises(BudgetSpent):
            await ledger.admit(asked)
        await ledger.admit(ask(ledger, "a", budgets=[BUDGET]))
        with pytest.raises(BudgetReserved):
            await ledger.admit(ask(ledger, "b", "c", "d", budgets=[BUDGET]))
        return asked.quota.counters[0]

    assert counted(with_ledger(work)) == (0, 30)
    assert not sync_client().exists(keys.reservation("b"))


def test_each_of_them_counts_in_the_rate_limits():
    rate = RateLimit("user", "1", 4)

    async def work(ledger: Ledger) -> None:
        admission = await ledger.admit(ask(ledger, "a", "b", "c", rate_limits=[rate]))
        assert admission.rate
        assert admission.rate.remaining == 1
        with pytest.raises(RateLimited):
            await ledger.admit(ask(ledger, "d", "e", rate_limits=[rate]))
        await ledger.admit(ask(ledger, "d", rate_limits=[rate]))

    with_ledger(work)
    assert sync_client().zcard(rate.window) == 4


def test_the_same_call_again_counts_once():
    rate = RateLimit("user", "1", 2)

    async def work(ledger: Ledger) -> str:
        asked = ask(ledger, "a", "b", budgets=[BUDGET], rate_limits=[rate], gates=[GATE])
        await ledger.admit(asked)
        await ledger.admit(asked)
        return asked.quota.counters[0]

    assert counted(with_ledger(work)) == (0, 60)


def test_no_more_than_the_limit_are_under_way_at_once():
    async def work(ledger: Ledger) -> None:
        await ledger.admit(ask(ledger, "a", gates=[GATE]))
        await ledger.admit(ask(ledger, "b", gates=[GATE]))
        with pytest.raises(RateLimited) as refused:
            await ledger.admit(ask(ledger, "c", gates=[GATE]))
        assert refused.value.headers["Retry-After"] == "1"
        assert "2 requests at the same time" in refused.value.message
        await ledger.settle(Settlement("a", b"{}", gates=(GATE.gate,)))
        await ledger.admit(ask(ledger, "c", gates=[GATE]))

    with_ledger(work)


def test_a_reservation_that_nobody_stands_for_is_given_back_at_the_second_look():
    async def work(ledger: Ledger) -> str:
        asked = ask(ledger, "lost", budgets=[BUDGET], gates=[GATE])
        await ledger.admit(asked)
        await ledger.admit(ask(ledger, "held", budgets=[BUDGET], gates=[GATE]))
        ledger._open.pop("lost")  # as if the reply had never come
        assert [await ledger.release_strays(), await ledger.release_strays()] == [0, 1]
        return asked.quota.counters[0]

    assert counted(with_ledger(work)) == (0, 30)
    assert sync_client().smembers(GATE.gate) == {b"held"}
    assert sync_client().xlen(keys.USAGE_STREAM) == 0


@pytest.mark.parametrize(
    ("limits", "told", "left"),
    [
        ({"rate_limits": [RateLimit("key", "k1", 2)]}, "your API key may make 2 a minute", "2"),
        ({"gates": [GATE]}, "your API key may make 2 at the same time", None),
    ],
    ids=["rate", "gate"],
)
def test_more_than_a_limit_ever_lets_through_is_not_told_to_try_again(
    limits: dict[str, Any], told: str, left: str | None
):
    async def work(ledger: Ledger) -> None:
        with pytest.raises(RateLimited) as refused:
            await ledger.admit(ask(ledger, "a", "b", "c", **limits))
        assert f"This takes 3 requests at once, and {told}." in refused.value.message
        assert refused.value.headers["x-should-retry"] == "false"
        assert refused.value.headers["Retry-After"] == "60"
        assert refused.value.headers.get("x-ratelimit-remaining-requests") == left
        await ledger.admit(ask(ledger, "a", "b", **limits))
        with pytest.raises(RateLimited) as refused:
            await ledger.admit(ask(ledger, "d", "e", **limits))
        assert "x-should-retry" not in refused.value.headers

    with_ledger(work)


@pytest.mark.parametrize("limits", [{"gates": [ConcurrencyLimit("key", "k1", 1)]}, {"budgets": [BUDGET]}])
def test_what_is_refused_for_another_reason_is_told_what_the_tightest_rate_limit_has_left(limits: dict[str, Any]):
    rates = [RateLimit("tenant", "1", 9), RateLimit("user", "1", 5)]

    async def work(ledger: Ledger) -> None:
        admission = await ledger.admit(ask(ledger, "a", tokens=60, rate_limits=rates, **limits))
        assert admission.rate
        assert admission.rate.headers()["x-ratelimit-remaining-requests"] == "4"
        with pytest.raises(GatewayError) as refused:
            await ledger.admit(ask(ledger, "b", tokens=60, rate_limits=rates, **limits))
        assert refused.value.headers["x-ratelimit-limit-requests"] == "5"
        assert refused.value.headers["x-ratelimit-remaining-requests"] == "4"

    with_ledger(work)
    assert sync_client().zcard(rates[1].window) == 1


def test_the_room_is_that_of_the_tightest_budget_which_may_be_a_soft_one():
    counted_only, wide = Budget("key", "1", None), Budget("tenant", "1", 1_000)
    soft = Budget("global", "", 40, "soft")

    async def work(ledger: Ledger) -> list[int | None]:
        asked = [[counted_only], [counted_only, wide], [wide, soft, counted_only], [soft], [BUDGET]]
        return [
            (await ledger.admit(ask(ledger, str(number), budgets=budgets))).room for number, budgets in enumerate(asked)
        ]

    assert with_ledger(work) == [None, 1_000, 40, 10, 100]


def test_who_asks_again_because_the_reply_was_lost_is_told_the_same_room():
    async def work(ledger: Ledger) -> list[int | None]:
        asked = ask(ledger, "a", "b", budgets=[BUDGET])
        return [(await ledger.admit(asked)).room for _ in range(2)]

    assert with_ledger(work) == [100, 100]


def test_a_budget_beyond_what_redis_can_count_has_room():
    async def work(ledger: Ledger) -> int | None:
        return (await ledger.admit(ask(ledger, "a", budgets=[Budget("user", "1", 2**63 - 1)]))).room

    assert with_ledger(work) == 2**53
