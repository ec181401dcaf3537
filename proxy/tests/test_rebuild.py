"""After Redis lost the counters: rebuilt from the database, with what the web processes bring along."""

import asyncio
import json
from collections.abc import Callable

import pytest

from accounts.errors import PartUnavailable
from accounts.ledger import Ask, EpochEnded, Ledger, Reservation, Settlement, epoch, keys
from accounts.limits import Budget, Month, counter_name
from accounts.models import MonthlyTally
from accounts.quota import Quota
from accounts.redis import Redis, sync_client
from accounts.sql import run_long_sql
from accounts.tests.ledgers import counted, with_ledger
from accounts.tests.test_admission import UTC
from proxy.models import StreamPosition, Usage
from proxy.tests.usage_events import append_counted, event
from proxy.usage.drain import drain
from proxy.usage.rebuild import rebuild
from proxy.usage.reconciliation import differences

pytestmark = pytest.mark.django_db(transaction=True)

BUDGET = Budget("user", "7", 10_000)


def this_month() -> str:
    seconds, _ = sync_client().time()
    return str(Month.at(seconds * 1000, UTC))


def counter() -> str:
    return BUDGET.counter(this_month())


def settlement(request_id: str, tokens: int) -> Settlement:
    usage = event(request_id=request_id, month=this_month(), tenant_id=None, prompt_tokens=tokens, completion_tokens=0)
    return Settlement(request_id, json.dumps(usage).encode(), tokens, (counter(),))


async def admit(ledger: Ledger, request_id: str, tokens: int = 100) -> None:
    month = Month.at(ledger.now_ms(), UTC)
    await ledger.admit(Ask(1, Quota(month, budgets=[BUDGET]), [Reservation(request_id, b"{}", tokens)]))


def open_at_once() -> None:
    sync_client().hset(keys.EPOCH, "opens_ms", 0)


def test_the_counters_are_the_tallies_and_what_waited_in_the_stream():
    append_counted(event(month=this_month(), tenant_id=None, prompt_tokens=40, completion_tokens=2), 42, counter())
    drain()
    append_counted(event(month=this_month(), tenant_id=None, prompt_tokens=8, completion_tokens=0), 8, counter())
    sync_client().delete(counter(), keys.EPOCH)
    rebuild()
    assert counted(counter()) == (50, 0)
    assert Usage.objects.count() == 2
    assert differences(this_month()) == []


def test_whoever_comes_second_finds_it_done():
    sync_client().delete(keys.EPOCH)
    assert rebuild() == rebuild() == epoch.current()


def test_the_positions_of_a_new_stream_begin_at_its_start():
    StreamPosition.objects.create(stream="usage", last_id=f"{2**53}-0")
    sync_client().flushdb()
    rebuild()
    append_counted(event(month=this_month()), 120, counter())
    assert drain() == 1


def test_without_an_epoch_nothing_is_admitted_and_nothing_is_settled():
    async def work(ledger: Ledger) -> None:
        await admit(ledger, "r1")
        epoch.end()
        with pytest.raises(PartUnavailable, match="being rebuilt"):
            await admit(ledger, "r2")
        with pytest.raises(EpochEnded):
            await ledger.settle(settlement("r1", 50))

    with_ledger(work)
    assert counted(counter()) == (0, 100)
    assert sync_client().xlen(keys.USAGE_STREAM) == 0


def test_a_process_brings_along_what_is_under_way_and_what_is_not_recorded_yet():
    async def work(ledger: Ledger) -> None:
        for name in ("under way", "settled"):
            await admit(ledger, name)
        await ledger.settle(settlement("settled", 60))
        sync_client().flushdb()
        await run_rebuild(ledger)
        assert counted(counter()) == (60, 100)
        await ledger.settle(settlement("under way", 70))

    with_ledger(work)
    drain()
    assert counted(counter()) == (130, 0)
    assert sorted(Usage.objects.values_list("request_id", flat=True)) == ["settled", "under way"]
    assert differences(this_month()) == []


def test_what_was_recorded_before_the_loss_is_not_counted_again():
    async def work(ledger: Ledger) -> None:
        await admit(ledger, "r1")
        await ledger.settle(settlement("r1", 60))
        await sync(drain)  # the process has not heard of it yet
        sync_client().flushdb()
        await run_rebuild(ledger)
        await sync(drain)

    with_ledger(work)
    assert counted(counter()) == (60, 0)
    assert MonthlyTally.objects.get(scope="user").tokens == 60
    assert differences(this_month()) == []


def test_what_is_recorded_need_not_be_kept():
    async def work(ledger: Ledger) -> int:
        await admit(ledger, "r1")
        await ledger.settle(settlement("r1", 60))
        await sync(drain)
        await ledger.heartbeat()
        return len(ledger._kept)

    assert with_ledger(work) == 0


def test_a_redis_that_lost_its_last_second_is_set_right():
    """As after a restart from an append-only file: the reservation is back, its settlement is gone."""

    async def work(ledger: Ledger) -> None:
        await admit(ledger, "r1")
        before = {name: sync_client().dump(name) or b"" for name in sync_client().keys("*")}
        await ledger.settle(settlement("r1", 60))
        sync_client().flushdb()
        for name, value in before.items():
            sync_client().restore(name, 0, value)
        epoch.end()
        await run_rebuild(ledger)

    with_ledger(work)
    drain()
    assert counted(counter()) == (60, 0)
    assert differences(this_month()) == []


def test_admission_opens_when_every_process_had_the_time_to_join():
    StreamPosition.objects.create(stream="usage", last_id="1-0")
    sync_client().delete(keys.EPOCH)
    begun = epoch.begin({}, grace_ms=60_000)

    async def work(ledger: Ledger) -> None:
        with pytest.raises(PartUnavailable) as closed:
            await admit(ledger, "r1")
        assert 1 <= int(closed.value.headers["Retry-After"]) <= 60
        open_at_once()
        await admit(ledger, "r1")

    with_ledger(work)
    assert begun == epoch.current()


def test_months_and_addresses_have_counters_of_their_own():
    for scope, subject in (("ip", "2001:db8::/64"), ("tenant", "3")):
        MonthlyTally.objects.create(scope=scope, subject=subject, month="2026-10", prompt_tokens=5)
    sync_client().delete(keys.EPOCH)
    rebuild()
    assert counted(counter_name("ip", "2001:db8::/64", "2026-10")) == (5, 0)
    assert counted(counter_name("tenant", "3", "2026-10")) == (5, 0)


async def run_rebuild(ledger: Ledger) -> None:
    await sync(rebuild)
    open_at_once()
    await ledger.join(await ledger.current_epoch())


async def sync(work: Callable[[], object]) -> None:
    await run_long_sql(work)


@pytest.mark.services
def test_a_new_connection_finds_out_that_redis_is_another_one():
    sync_client().hset(keys.EPOCH, "run_id", "of another life")

    async def work() -> str:
        client = Redis()
        try:
            return await Ledger(client).current_epoch()
        finally:
            await client.close()

    assert asyncio.run(work()) == ""
