"""Several requests of one caller that are admitted together, and requests that may not be under way at once."""

import pytest

from accounts.errors import RateLimited
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
        assert admission.rates[0].remaining == 1
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
