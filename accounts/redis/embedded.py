"""Redis inside this process (fakeredis), for the embedded default. Its replies are those of RESP2, as over a wire."""

import asyncio
import functools
from collections.abc import Callable, Sequence
from typing import Any

import fakeredis
import redis
from redis.exceptions import RedisError

from accounts.redis.command import Command
from accounts.redis.prepared import Prepared

MOST_PIPELINES = 8  # at once; what comes meanwhile goes with the next one, which is then fuller


class EmbeddedLine:
    """What `Line` is to a real Redis. A pipeline runs in a task of its own, whatever becomes of its callers."""

    def __init__(self, on_trouble: Callable[[], None]) -> None:
        self._client = fakeredis.FakeAsyncRedis(server=_server(), protocol=2)
        self._client.response_callbacks.clear()
        self._on_trouble = on_trouble
        self._waiting: list[Command] = []
        self._pipelines: set[asyncio.Task[None]] = set()

    @staticmethod
    def pack(command: tuple[Any, ...]) -> tuple[Any, ...]:
        """The client packs for itself."""
        return command

    pack_call = staticmethod(Prepared.command)

    def send(self, commands: Sequence[Command]) -> None:
        """Send commands together."""
        self._waiting += commands
        self._flush()

    async def ping(self) -> None:
        """See whether it answers. Raises RedisError."""
        await self._client.ping()

    async def close(self) -> None:
        """Wait for the outstanding replies, then close."""
        while self._pipelines:  # each one that ends may send what waited for it
            await asyncio.wait(self._pipelines)
        await self._client.aclose()

    def _flush(self) -> None:
        if not self._waiting or len(self._pipelines) >= MOST_PIPELINES:
            return
        commands, self._waiting = self._waiting, []
        task = asyncio.create_task(self._run(commands))
        self._pipelines.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, pipeline: asyncio.Task[None]) -> None:
        self._pipelines.discard(pipeline)
        self._flush()

    async def _run(self, commands: Sequence[Command]) -> None:
        try:
            async with self._client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command.packed)
                replies = await pipeline.execute(raise_on_error=False)
        except RedisError as error:
            self._on_trouble()
            replies = [error] * len(commands)
        for command, reply in zip(commands, replies, strict=True):
            command.answer(reply)


def sync_client() -> "redis.Redis":
    """A blocking client of the same Redis."""
    return fakeredis.FakeRedis(server=_server())


@functools.cache
def _server() -> "fakeredis.FakeServer":
    return fakeredis.FakeServer()
