"""What a process that died leaves behind is settled; what a live one holds is left alone."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from zoneinfo import ZoneInfo

from accounts.ledger import Ask, Ledger, Settlement, keys, sweep
from accounts.ledger.sweep import DEAD_AFTER_S
from accounts.limits import Budget, Month
from accounts.redis import Redis, sync_client

BUDGET = Budget("user", "1", 10_000)
RECORD = {"request_id": "r1", "prompt_tokens": 40, "quality": "estimated"}


def with_ledger(work: Callable[[Ledger], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        client = Redis()
        try:
            return await work(Ledger(client))
        finally:
            await client.close()

    return asyncio.run(run())


async def a_stream_under_way(ledger: Ledger) -> str:
    """Admit r1 with 500 tokens reserved, 256 of them delivered; returns the budget's counter."""
    month = Month.at(ledger.now_ms(), ZoneInfo("UTC"))
    ask = Ask("r1", version=1, record=json.dumps(RECORD).encode(), month=month, budgets=[BUDGET], tokens=500)
    await ledger.heartbeat()
    await ledger.admit(ask)
    await ledger.checkpoint("r1", 256)
    return BUDGET.counter(str(month))


def redis() -> Any:
    """The blocking client; its replies are bytes and lists of them."""
    return sync_client()


def counted(counter: str) -> tuple[int, int]:
    spent, reserved = redis().hmget(counter, "spent", "reserved")
    return int(spent or 0), int(reserved or 0)


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


def test_a_settlement_that_comes_after_the_sweep_changes_nothing():
    async def work(ledger: Ledger) -> tuple[str, bool]:
        counter = await a_stream_under_way(ledger)
        let_it_die()
        await asyncio.to_thread(sweep)
        return counter, await ledger.settle(Settlement("r1", b"{}", tokens=300, counters=[counter]))

    counter, settled = with_ledger(work)
    assert not settled
    assert counted(counter) == (296, 0)
