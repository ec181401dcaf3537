"""A ledger to call as a web process does, with its counters open."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import pytest
from redis.exceptions import ConnectionError as RedisDown

from accounts.ledger import Ledger, keys
from accounts.redis import Redis, run_id, sync_client

T = TypeVar("T")


def open_empty_redis() -> None:
    """Empty Redis, and open the ledger in it. The epoch is always the same: a gateway that runs goes on in it."""
    sync_client().flushdb()
    sync_client().hset(keys.EPOCH, mapping={"id": "tests", "opens_ms": 0, "run_id": run_id()})


def with_ledger(work: Callable[[Ledger], Awaitable[T]]) -> T:
    """Run with a ledger that has joined the epoch."""

    async def run() -> T:
        client = Redis()
        ledger = Ledger(client)
        try:
            await ledger.join(await ledger.current_epoch())
            return await work(ledger)
        finally:
            await client.close()

    return asyncio.run(run())


def take_redis_away(patch: pytest.MonkeyPatch) -> None:
    """Let every command of an event loop fail, in this process, for as long as the patch holds."""

    def refuse(redis: Redis, packed: object) -> "asyncio.Future[object]":
        reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        reply.set_exception(RedisDown("refused"))
        return reply

    patch.setattr(Redis, "_issue", refuse)


def counted(counter: str) -> tuple[int, int]:
    """Tokens spent and reserved."""
    spent, reserved = cast("list[bytes | None]", sync_client().hmget(counter, ["spent", "reserved"]))
    return int(spent or 0), int(reserved or 0)
