"""What a process that died leaves behind is settled; what a live one holds is left alone."""

import asyncio
import json
from typing import Any
from zoneinfo import ZoneInfo

from accounts.ledger import Ask, Ledger, Reservation, Settlement, keys, sweep
from accounts.ledger.sweep import DEAD_AFTER_S
from accounts.limits import Budget, Month
from accounts.quota import Quota
from accounts.redis import sync_client
from accounts.tests.ledgers import counted, with_ledger

BUDGET = Budget("user", "1", 10_000)
RECORD = {"request_id": "r1", "prompt_tokens": 40, "quality": "estimated"}


async def a_stream_under_way(ledger: Ledger) -> str:
    """Admit r1 with 500 tokens reserved, 256 of them delivered; returns the budget's counter."""
    month = Month.at(ledger.now_ms(), ZoneInfo("UTC"))
    reservation = Reservation("r1", json.dumps(RECORD).encode(), tokens=500)
    await ledger.heartbeat()
    await ledger.admit(Ask(1, Quota(month, budgets=[BUDGET]), [reservation]))
    ledger.checkpoint("r1", 256)
    await ledger.committed_version()  # what was noted has arrived
    return BUDGET.counter(str(month))


def redis() -> Any:
    """The blocking client; its replies are bytes and lists of them."""
    return sync_client()


def let_it_die() -> None:
    """Make the only process's last heartbeat too old."""
    [(process, beat)] = redis().zrange(keys.PROCESSES, 0, -1, withscores=True)
    redis().zadd(keys.PROCESSES, {process: beat - DEAD_AFTER_S - 1})


def test_a_dead_processes_request_pays_for_the_prompt_and_the_last_checkpoint():
    counter = with_ledger(a_stream_under_way)
    let_it_die()
    assert sweep() == 1
    assert counted(counter) == (296, 0)
    [(_, fields)] = redis().xrange(keys.USAGE_STREAM)
    event = json.loads(fields[b"event"])
    assert (event["request_id"], event["status"], event["error_code"]) == ("r1", "crashed", "process_died")
    assert (event["prompt_tokens"], event["completion_tokens"]) == (40, 256)


def test_a_live_processes_request_is_left_alone():
    counter = with_ledger(a_stream_under_way)
    assert sweep() == 0
    assert counted(counter) == (0, 500)


def test_sweeping_twice_counts_once():
    counter = with_ledger(a_stream_under_way)
    let_it_die()
    assert (sweep(), sweep()) == (1, 0)
    assert counted(counter) == (296, 0)
    assert redis().xlen(keys.USAGE_STREAM) == 1


def test_a_settlement_that_comes_after_the_sweep_corrects_it_once():
    async def work(ledger: Ledger) -> tuple[str, list[bool]]:
        counter = await a_stream_under_way(ledger)
        let_it_die()
        await asyncio.to_thread(sweep)
        late = Settlement("r1", b"{}", tokens=300, counters=(counter,))
        return counter, [await ledger.settle(late), await ledger.settle(late)]

    counter, settled = with_ledger(work)
    assert settled == [True, False]
    assert counted(counter) == (300, 0)
    counts = [fields[b"counted"] for _, fields in redis().xrange(keys.USAGE_STREAM)]
    assert counts == [b"296", b"4"]


def swept_after_admission(**cached: Any) -> tuple[int, int]:
    """What is spent and reserved when a process died with a request that it had just admitted."""

    async def work(ledger: Ledger) -> str:
        month = Month.at(ledger.now_ms(), ZoneInfo("UTC"))
        opening = json.dumps(RECORD)[:-1].encode()
        reservation = Reservation("r1", opening, 500, b',"streamed":true}')
        await ledger.heartbeat()
        await ledger.admit(Ask(1, Quota(month, budgets=[BUDGET]), [reservation], **cached))
        return BUDGET.counter(str(month))

    counter = with_ledger(work)
    let_it_die()
    assert sweep() == 1
    return counted(counter)


def test_a_request_is_billed_from_its_admission_on_since_its_provider_is_asked_at_once():
    assert swept_after_admission() == (40, 0)


def test_a_process_that_died_with_an_answer_from_the_cache_pays_nothing():
    redis().set("{gw}:cache:answer", b"seal\n{}\nThe answer.")
    assert swept_after_admission(cached="{gw}:cache:answer", seal=b"seal\n") == (0, 0)


def test_nobody_is_taken_for_dead_just_after_the_ledger_opened():
    counter = with_ledger(a_stream_under_way)
    let_it_die()
    seconds, _ = redis().time()
    redis().hset(keys.EPOCH, "opens_ms", (seconds - DEAD_AFTER_S // 2) * 1000)
    assert sweep() == 0
    redis().delete(keys.EPOCH)
    assert sweep() == 0
    assert counted(counter) == (0, 500)
