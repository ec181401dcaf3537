"""Settlements outlive their callers: a client's hang-up, a Redis outage, and a restart of this process."""

import asyncio
import logging
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import orjson
from redis.exceptions import RedisError

from accounts.ledger.ledger import Ledger, Settlement

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0


class Settlements:
    """Runs each settlement in a task of its own, until Redis has it or, at a stop, the spool file has."""

    def __init__(self, ledger: Ledger, spool: Path) -> None:
        self._ledger = ledger
        self._spool = spool
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsettled: dict[str, Settlement] = {}

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine that ends in `settle`, shielded from its caller's cancellation."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self, settlement: Settlement) -> None:
        """Settle, however long Redis is away."""
        request_id = settlement.request_id
        self._unsettled[request_id] = settlement
        pause = FIRST_PAUSE_S
        while True:
            try:
                await self._ledger.settle(settlement)
            except RedisError as error:
                logger.warning("Request %s waits for Redis to be settled: %s", request_id, type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
            else:
                del self._unsettled[request_id]
                return

    def recover(self) -> None:
        """Take up what earlier processes of this machine spooled; a file goes only when all of it is settled."""
        for path in sorted(self._spool.glob("*.jsonl")):
            self.start(self._settle_spooled(path))

    async def _settle_spooled(self, path: Path) -> None:
        try:
            lines = await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:  # another web process of this machine was faster; settling twice would count once
            return
        for line in lines.splitlines():
            await self.settle(_from_line(line))
        await asyncio.to_thread(path.unlink, missing_ok=True)

    async def close(self, patience_s: float) -> None:
        """Wait for what is under way; spool what Redis does not take in time."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience_s)
        for task in self._tasks:
            task.cancel()
        if self._unsettled:
            self._write_spool()

    def _write_spool(self) -> None:
        self._spool.mkdir(parents=True, exist_ok=True)
        path = self._spool / f"{self._ledger.process}.jsonl"
        with path.open("wb") as file:
            file.writelines(_to_line(settlement) for settlement in self._unsettled.values())
            file.flush()
            os.fsync(file.fileno())
        logger.warning("Redis is away: %d settlements wait in %s for the next start.", len(self._unsettled), path)


def _to_line(settlement: Settlement) -> bytes:
    """What must not be lost; the answer for the cache may be."""
    kept = {
        "request_id": settlement.request_id,
        "event": settlement.event.decode(),
        "tokens": settlement.tokens,
        "counters": list(settlement.counters),
    }
    return orjson.dumps(kept) + b"\n"


def _from_line(line: bytes) -> Settlement:
    kept = orjson.loads(line)
    return Settlement(kept["request_id"], kept["event"].encode(), kept["tokens"], kept["counters"])
