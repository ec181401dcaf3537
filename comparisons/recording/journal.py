"""What has happened to comparisons, on its way to the rows: a Redis stream without an end or a limit.

The web process appends, the worker writes it into the rows (`drain`). A Celery message could be lost; an entry cannot.
While Redis is away the web process writes into the rows itself, and where the database is away, too, it tries again.
"""

import asyncio
import logging

from redis.exceptions import RedisError

from accounts.errors import PartUnavailable
from accounts.redis import Redis, key
from accounts.sql import run_sql
from comparisons.recording import entry
from comparisons.underway import own_record

logger = logging.getLogger(__name__)

STREAM = key("comparisons")
FIELD = b"entry"
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0


class Journal:
    """The entries of one comparison, kept in order."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[bytes] = []
        self._task: asyncio.Task[None] | None = None

    def note(self, raw: bytes) -> None:
        """Append an entry, as soon as there is somewhere to append it to. Not waited for."""
        self._waiting.append(raw)
        if self._task is None or self._task.done():
            self._task = own_record(self._append_all())

    async def flushed(self, patience_s: float) -> None:
        """Wait until all is safe, but not long: it goes on without us."""
        if self._task:
            await asyncio.wait([self._task], timeout=patience_s)

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
            await self._redis.execute("XADD", STREAM, "*", FIELD, raw)
        except RedisError as error:
            logger.warning("Redis does not take the record of a comparison (%s).", type(error).__name__)
        else:
            return True
        try:
            await run_sql(entry.write, raw)
        except PartUnavailable:
            return False
        return True
