"""The admission and settlement scripts, called as the ledger calls them."""

from zoneinfo import ZoneInfo

import pytest

from accounts.ledger import Ask, Ledger, OtherMonth, Reservation, Settlement, StaleConfiguration, keys
from accounts.ledger.refusals import BudgetReserved, BudgetSpent
from accounts.limits import Budget, Month, RateLimit, duration
from accounts.quota import Quota
from accounts.redis import CONFIGURATION_VERSION, sync_client
from accounts.tests.ledgers import counted, with_ledger

UTC = ZoneInfo("UTC")
BUDGET = Budget("user", "1", 100)


def ask(
    ledger: Ledger, request_id: str, tokens: int = 0, *, version: int = 1, month: Month | None = None, **fields: object
) -> Ask:
    quota = Quota(month or Month.at(ledger.now_ms(), UTC), **fields)  # type: ignore[arg-type]
    return Ask(version, quota, [Reservation(request_id, b"{}", tokens)])


def counted_in(month: Month, budget: Budget = BUDGET) -> tuple[int, int]:
    return counted(budget.counter(str(month)))


def test_an_older_configuration_is_told_so_and_nothing_is_done():
    sync_client().set(CONFIGURATION_VERSION, 7)

    async def work(ledger: Ledger) -> None:
        with pytest.raises(StaleConfiguration) as stale:
            await ledger.admit(ask(ledger, "r1", version=6, budgets=[BUDGET], tokens=10))
        assert stale.value.current == 7

    with_ledger(work)
    assert not sync_client().exists(keys.reservation("r1"))


def test_a_newer_configuration_raises_the_published_one():
    sync_client().set(CONFIGURATION_VERSION, 3)
    with_ledger(lambda ledger: ledger.admit(ask(ledger, "r1", version=9)))
    assert int(sync_client().get(CONFIGURATION_VERSION) or 0) == 9


def test_admitting_twice_reserves_once():
    async def work(ledger: Ledger) -> Month:
        once = ask(ledger, "r1", budgets=[BUDGET], tokens=60, rate_limits=[RateLimit("user", "1", 1)])
        await ledger.admit(once)
        await ledger.admit(once)
        return once.quota.month

    assert counted_in(with_ledger(work)) == (0, 60)


def test_settling_twice_counts_once():
    async def work(ledger: Ledger) -> tuple[Month, list[bool]]:
        asked = ask(ledger, "r1", budgets=[BUDGET], tokens=60)
        await ledger.admit(asked)
        settlement = Settlement("r1", b"{}", tokens=25, counters=(BUDGET.counter(str(asked.quota.month)),))
        return asked.quota.month, [await ledger.settle(settlement), await ledger.settle(settlement)]

    month, results = with_ledger(work)
    assert results == [True, False]
    assert counted_in(month) == (25, 0)
    assert sync_client().xlen(keys.USAGE_STREAM) == 1


def test_refusals_tell_what_is_spent_from_what_is_reserved():
    async def work(ledger: Ledger) -> None:
        await ledger.admit(ask(ledger, "r1", budgets=[BUDGET], tokens=60))
        with pytest.raises(BudgetReserved):
            await ledger.admit(ask(ledger, "r2", budgets=[BUDGET], tokens=60))
        with pytest.raises(BudgetSpent):
            await ledger.admit(ask(ledger, "r3", budgets=[BUDGET], tokens=101))

    with_ledger(work)


def test_all_limits_admit_or_none_counts():
    small = Budget("key", "1", 10)

    async def work(ledger: Ledger) -> Month:
        asked = ask(ledger, "r1", budgets=[BUDGET, small], tokens=60, rate_limits=[RateLimit("user", "1", 5)])
        with pytest.raises(BudgetSpent):
            await ledger.admit(asked)
        return asked.quota.month

    month = with_ledger(work)
    assert counted_in(month) == counted_in(month, small) == (0, 0)
    assert sync_client().zcard(RateLimit("user", "1", 5).window) == 0


@pytest.mark.parametrize("away", [-40 * 86_400_000, 40 * 86_400_000], ids=["past", "future"])
def test_another_month_than_redis_has_is_told_so(away: int):
    async def work(ledger: Ledger) -> None:
        other = Month.at(ledger.now_ms() + away, UTC)
        with pytest.raises(OtherMonth) as told:
            await ledger.admit(ask(ledger, "r1", month=other))
        assert str(Month.at(told.value.now_ms, UTC)) != str(other)

    with_ledger(work)


def test_months_begin_and_end_in_their_own_time_zone():
    kiritimati = Month.at(1_798_700_000_000, ZoneInfo("Pacific/Kiritimati"))  # 2026-12-31 20:53 there, + 14 h
    assert (str(kiritimati), kiritimati.end.isoformat()) == ("2026-12", "2027-01-01T00:00:00+14:00")
    pago_pago = Month.at(kiritimati.end_ms, ZoneInfo("Pacific/Pago_Pago"))
    assert str(pago_pago) == "2026-12"
    assert str(Month.at(kiritimati.end_ms, kiritimati.zone)) == "2027-01"


@pytest.mark.parametrize(
    ("ms", "written"), [(0, "0ms"), (250, "250ms"), (999, "999ms"), (1000, "1s"), (1001, "2s"), (60_000, "1m0s")]
)
def test_durations_are_written_as_openai_does(ms: float, written: str):
    assert duration(ms) == written
