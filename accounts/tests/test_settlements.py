"""Settlements outlive a Redis that is away, and a restart."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisDown

from accounts.ledger import Ledger, Settlement, Settlements, keys
from accounts.redis import Redis, sync_client

SETTLEMENT = Settlement("r1", b'{"request_id": "r1"}', tokens=7, counters=("{gw}:budget:user:1:2026-11",))


def redis() -> Any:
    return sync_client()


class AwayLedger(Ledger):
    """A ledger whose Redis is away for so many calls."""

    def __init__(self, client: Redis, failures: int) -> None:
        super().__init__(client)
        self.failures = failures

    async def settle(self, settlement: Settlement) -> bool:
        if self.failures:
            self.failures -= 1
            raise RedisDown("refused")
        return await super().settle(settlement)

    def begin_to_settle(self, settlement: Settlement) -> "asyncio.Future[Any]":
        if not self.failures:
            return super().begin_to_settle(settlement)
        self.failures -= 1
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        reply.set_exception(RedisDown("refused"))
        return reply


def settle(spool: Path, *, failures: int, patience_s: float, recover: bool = False) -> None:
    """One life of a web process: it settles r1, or takes up what an earlier life spooled, and stops."""

    async def live() -> None:
        client = Redis()
        settlements = Settlements(AwayLedger(client, failures), spool)
        if recover:
            settlements.recover()
        else:
            settlements.begin_soon(lambda: SETTLEMENT)
        await settlements.close(patience_s)
        await client.close()

    asyncio.run(live())


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_settlement_waits_for_redis(failures: int, tmp_path: Path):
    settle(tmp_path, failures=failures, patience_s=5)
    assert redis().xlen(keys.USAGE_STREAM) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_redis_does_not_take_before_a_stop_is_settled_after_the_next_start(tmp_path: Path):
    settle(tmp_path, failures=1000, patience_s=0.05)
    assert redis().xlen(keys.USAGE_STREAM) == 0
    assert len(list(tmp_path.iterdir())) == 1
    settle(tmp_path, failures=0, patience_s=5, recover=True)
    [(_, fields)] = redis().xrange(keys.USAGE_STREAM)
    assert fields[b"event"] == SETTLEMENT.event
    assert redis().hget(SETTLEMENT.counters[0], "spent") == b"7"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lives", [2, 3])
def test_two_processes_that_find_the_same_spool_count_once(lives: int, tmp_path: Path):
    settle(tmp_path, failures=1000, patience_s=0.05)
    [spooled] = tmp_path.iterdir()
    kept = spooled.read_bytes()
    for _ in range(lives):
        spooled.write_bytes(kept)
        settle(tmp_path, failures=0, patience_s=5, recover=True)
    assert redis().xlen(keys.USAGE_STREAM) == 1
    assert redis().hget(SETTLEMENT.counters[0], "spent") == b"7"
