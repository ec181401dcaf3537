"""The asynchronous door to Redis."""

import asyncio
from collections.abc import Sequence
from typing import Any

import redis
from django.conf import settings
from redis.exceptions import NoScriptError, RedisError

from accounts.redis.address import Address
from accounts.redis.command import Command
from accounts.redis.line import Line
from accounts.redis.prepared import Prepared
from accounts.redis.script import Script

if settings.EMBEDDED:
    from accounts.redis.embedded import EmbeddedLine  # brings numpy along

PROBE_EVERY_S = 0.1


class Redis:
    """The client of one event loop. Replies are those of RESP2: bytes, int, None, and lists of these.

    Commands that are issued in the same turn of the event loop travel together, in one write: the system calls are
    what a command costs. A caller that is cancelled never gets, or leaves, somebody else's reply.

    A Redis that does not answer is left alone until a ping gets through: whoever asks meanwhile is told at once, so
    that a slow Redis never slows down what can do without it.
    """

    def __init__(self) -> None:
        self._line = (
            EmbeddedLine(self._leave_alone)
            if settings.EMBEDDED
            else Line(Address(settings.REDIS_URL), self._leave_alone)
        )
        self._turn: list[Command] = []
        self._probe: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Wait for the replies that are outstanding, then close."""
        self._send()
        await self._line.close()
        if self._probe:
            self._probe.cancel()
            await asyncio.wait([self._probe])

    def execute(self, *command: Any) -> "asyncio.Future[Any]":
        """Send a command with others of this turn; await the reply. Raises RedisError."""
        return self._issue(self._line.pack(command))

    def call(self, prepared: Prepared, keys: Sequence[Any], args: Sequence[Any] = ()) -> "asyncio.Future[Any]":
        """The same for a script that was prepared. The reply is a NoScriptError where the server does not know it."""
        return self._issue(self._line.pack_call(prepared, keys, args))

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Any] = ()) -> Any:
        """Call a script; loads it where the server does not know it. Raises RedisError."""
        try:
            return await self.execute("EVALSHA", script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await self.execute("EVAL", script.source, len(keys), *keys, *args)

    async def run_prepared(self, prepared: Prepared, keys: Sequence[Any], args: Sequence[Any] = ()) -> Any:
        """`run` for a script that was prepared."""
        try:
            return await self.call(prepared, keys, args)
        except NoScriptError:
            return await self.execute("EVAL", prepared.script.source, *prepared.operands(keys, args))

    def _issue(self, packed: Any) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Any] = loop.create_future()
        if self._probe:
            reply.set_exception(_not_lately())
            return reply
        self._turn.append(Command(packed, reply))
        if len(self._turn) == 1:
            loop.call_soon(self._send)
        return reply

    def _send(self) -> None:
        commands, self._turn = self._turn, []
        if self._probe:  # since they were issued
            for command in commands:
                command.answer(_not_lately())
        elif commands:
            self._line.send(commands)

    def _leave_alone(self) -> None:
        if self._probe is None:
            self._probe = asyncio.create_task(self._wait_until_it_answers())

    async def _wait_until_it_answers(self) -> None:
        while True:
            try:
                await self._line.ping()
            except RedisError:
                await asyncio.sleep(PROBE_EVERY_S)
            else:
                self._probe = None
                return


def _not_lately() -> RedisError:
    return redis.ConnectionError("Redis did not answer lately.")
