"""What has happened to comparisons, on its way to the rows: a Redis stream without an end or a limit.

The web process appends, the worker writes it into the rows (`drain`). A Celery message could be lost; an entry cannot.
While Redis is away the web process writes into the rows itself, and where the database is away, too, it tries again.
What Redis loses before it is written is appended again: the web process keeps it until then.
"""

import asyncio
import logging

from redis.exceptions import RedisError

from accounts.errors import PartUnavailable
from accounts.ledger import Ledger
from accounts.redis import Redis, key
from accounts.sql import run_sql
from comparisons.recording import entry
from comparisons.underway import own_record

logger = logging.getLogger(__name__)

STREAM = key("comparisons")
FIELD = b"entry"
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
LOOK_EVERY_S = 2.0


class Journal:
    """The entries of one comparison, kept in order."""

    def __init__(self, redis: Redis, ledger: Ledger) -> None:
        self._redis = redis
        self._ledger = ledger
        self._noted: list[bytes] = []
        self._last_id: bytes | None = None
        self._waiting: list[bytes] = []
        self._task: asyncio.Task[None] | None = None

    def note(self, raw: bytes) -> None:
        """Append an entry, as soon as there is somewhere to append it to. Not waited for."""
        self._noted.append(raw)
        self._append_soon(raw)

    def _append_soon(self, *entries: bytes) -> None:
        self._waiting += entries
        if self._task is None or self._task.done():
            self._task = own_record(self._append_all())

    async def flushed(self, patience_s: float) -> None:
        """Wait until all is safe, but not long: it goes on without us."""
        if self._task:
            await asyncio.wait([self._task], timeout=patience_s)

    async def keep_until_written(self) -> None:
        """Until the worker has written all of it. A new epoch means that Redis may have lost it: it is appended again.

        To be called at the end of the comparison, in a task that may be cancelled.
        """
        epoch = self._ledger.epoch
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self._ledger.epoch != epoch:
                epoch = self._ledger.epoch
                self._append_soon(*self._noted)
            elif not self._waiting and await self._is_written():
                return

    async def _is_written(self) -> bool:
        if self._last_id is None:
            return True
        try:
            waits = await self._redis.execute("XRANGE", STREAM, self._last_id, self._last_id)
            return not waits and await self._ledger.current_epoch() == self._ledger.epoch
        except RedisError:
            return False

    async def _append_all(self) -> None:
        pause_s = FIRST_PAUSE_S
        while self._waiting:
            if await self._append(self._waiting[0]):
                del self._waiting[0]
                pause_s = FIRST_PAUSE_S
            else:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _append(self, raw: bytes) -> bool:
        try:
            self._last_id = await self._redis.execute("XADD", STREAM, "*", FIELD, raw)
        except RedisError as error:
            logger.warning("Redis does not take the record of a comparison (%s).", type(error).__name__)
        else:
            return True
        try:
            await run_sql(entry.write, raw)
        except PartUnavailable:
            return False
        return True
