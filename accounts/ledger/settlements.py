"""Settlements outlive their callers: a client's hang-up, a Redis outage, and a restart of this process."""

import asyncio
import logging
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import orjson
from redis.exceptions import RedisError

from accounts.ledger.ledger import Ledger

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0


class Settlements:
    """Runs each settlement in a task of its own, until Redis has it or, at a stop, the spool file has."""

    def __init__(self, ledger: Ledger, spool: Path) -> None:
        self._ledger = ledger
        self._spool = spool
        self._tasks: set[asyncio.Task[None]] = set()
        self._unsettled: dict[str, bytes] = {}

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine that ends in `settle`, shielded from its caller's cancellation."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self, request_id: str, event: bytes) -> None:
        """Settle, however long Redis is away."""
        self._unsettled[request_id] = event
        pause = FIRST_PAUSE_S
        while True:
            try:
                await self._ledger.settle(request_id, event)
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
        events = await asyncio.to_thread(path.read_bytes)
        for event in events.splitlines():
            await self.settle(orjson.loads(event)["request_id"], event)
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
            file.writelines(event + b"\n" for event in self._unsettled.values())
            file.flush()
            os.fsync(file.fileno())
        logger.warning("Redis is away: %d settlements wait in %s for the next start.", len(self._unsettled), path)
