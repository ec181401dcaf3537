"""Circuit breakers, one for each model, shared by all processes through Redis.

A breaker opens after five failures in a row. For thirty seconds its model is passed over; then one request may try it:
success closes the breaker, failure opens it again. A healthy model costs nothing here: every admission brings the
state of those that failed lately, and only they are written to.
"""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from accounts.ledger.keys import BREAKERS
from accounts.redis import Redis, Script

logger = logging.getLogger(__name__)

FAILURES_TO_OPEN = 5
OPEN_MS = 30_000
PROBE_MS = 15_000

SCRIPT = Script(Path(__file__).parent / "breaker.lua")


class Breakers:
    """The door to the shared state. Telling is never waited for, and a Redis that is away changes nothing."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._tasks: set[asyncio.Task[None]] = set()

    def failed(self, model: str) -> None:
        self._tell(self._run("failed", model))

    def succeeded(self, model: str) -> None:
        self._tell(self._run("succeeded", model))

    async def may_try(self, model: str, state: Mapping[str, str], now_ms: int) -> bool:
        """Whether a request with this admission's state may call the model; may claim the half-open probe."""
        if model not in state:
            return True
        failures, opened_at, _ = map(int, state[model].split(":"))
        if failures < FAILURES_TO_OPEN:
            return True
        if now_ms - opened_at < OPEN_MS:
            return False
        try:
            return bool(await self._call("probe", model))
        except RedisError:
            return True

    def _tell(self, news: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(news)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, event: str, model: str) -> None:
        try:
            await self._call(event, model)
        except RedisError as error:
            logger.warning("Could not tell the breaker of %s that it %s: %s", model, event, type(error).__name__)

    async def _call(self, event: str, model: str) -> int:
        return int(await self._redis.run(SCRIPT, [BREAKERS], [event, model, FAILURES_TO_OPEN, OPEN_MS, PROBE_MS]))
