"""Settlements outlive their callers: a client's hang-up, a Redis outage, and a restart of this process."""

import asyncio
import functools
import logging
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from accounts.ledger.admission import EpochEnded
from accounts.ledger.ledger import Ledger
from accounts.ledger.settlement import Settlement

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0


class Settlements:
    """Sees to each settlement until Redis has it or, at a stop, the spool file has."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self._ledger = ledger
        self._folder = folder
        self._file = folder / f"{ledger.process}.jsonl"
        self._waits = False  # whether Redis refused the last one
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Future[Any]] = set()
        self._unsettled: dict[str, Settlement] = {}
        self._spooled: set[str] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine that ends in `settle`, shielded from its caller's cancellation."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def begin_soon(self, make: Callable[[], Settlement]) -> None:
        """Settle in the next turn of the event loop, without a task unless Redis does not take it at once."""
        self._loop.call_soon(self._begin, make)

    def _begin(self, make: Callable[[], Settlement]) -> None:
        settlement = make()
        self._unsettled[settlement.request_id] = settlement
        reply = self._ledger.begin_to_settle(settlement)
        self._tasks.add(reply)
        reply.add_done_callback(functools.partial(self._end, settlement))

    def _end(self, settlement: Settlement, reply: "asyncio.Future[Any]") -> None:
        self._tasks.discard(reply)
        if reply.cancelled():  # by `close`, which writes it down
            return
        try:
            self._ledger.note_settled(settlement, reply.result())
        except (RedisError, EpochEnded):
            self.start(self.settle(settlement))
        else:
            self._waits = False
            self._unsettled.pop(settlement.request_id, None)

    async def settle(self, settlement: Settlement) -> None:
        """Settle, however long Redis is away, or its counters are being rebuilt."""
        request_id = settlement.request_id
        self._unsettled[request_id] = settlement
        pause = FIRST_PAUSE_S
        while True:
            try:
                await self._ledger.settle(settlement)
            except (RedisError, EpochEnded) as error:
                if not self._waits:
                    logger.warning("Request %s and others wait to be settled: %s", request_id, type(error).__name__)
                self._waits = True
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
            else:
                self._waits = False
                self._unsettled.pop(request_id, None)
                return

    def recover(self) -> None:
        """Take up what earlier processes of this machine spooled; a file goes only when all of it is settled."""
        for path in sorted(self._folder.glob("*.jsonl")):
            self.start(self._settle_spooled(path))

    async def _settle_spooled(self, path: Path) -> None:
        try:
            lines = await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:  # another web process of this machine was faster; settling twice would count once
            return
        for line in lines.splitlines():
            await self.settle(Settlement.from_line(line))
        await asyncio.to_thread(path.unlink, missing_ok=True)

    async def spool(self) -> None:
        """Write down what waits for Redis and is not on disk yet; forget the file when all of it is settled.

        For the heartbeat: while Redis is away, a crash of this process costs at most the last second.
        """
        fresh = [settlement for request_id, settlement in self._unsettled.items() if request_id not in self._spooled]
        if fresh and self._waits:
            await asyncio.to_thread(self._append, fresh)
            self._spooled.update(settlement.request_id for settlement in fresh)
        elif self._spooled and not self._spooled & self._unsettled.keys():
            await asyncio.to_thread(self._file.unlink, missing_ok=True)
            self._spooled.clear()

    async def close(self, patience_s: float) -> None:
        """Wait for what is under way; spool what Redis does not take in time."""
        gives_up = self._loop.time() + patience_s
        await asyncio.sleep(0)  # for what shall begin soon
        while self._tasks and (left_s := gives_up - self._loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left_s)
        for task in self._tasks:
            task.cancel()
        self._waits = bool(self._unsettled)
        await self.spool()
        if self._unsettled:
            logger.warning("Redis is away: %d settlements wait in %s.", len(self._unsettled), self._file)

    def _append(self, settlements: list[Settlement]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file.touch(mode=0o600)
        with self._file.open("ab") as file:
            file.writelines(settlement.to_line() for settlement in settlements)
            file.flush()
            os.fsync(file.fileno())
