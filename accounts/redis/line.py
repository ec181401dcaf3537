"""The line to a real Redis: one connection, opened when it is needed, and anew when it broke."""

import asyncio
import functools
from collections.abc import Callable, Sequence

import hiredis
import redis
from redis.exceptions import RedisError

from accounts.redis.address import Address
from accounts.redis.command import Command
from accounts.redis.connection import Connection
from accounts.redis.names import EPOCH
from accounts.redis.prepared import Prepared
from accounts.redis.script import SCRIPTS, Script


class Line:
    """Answers every command that is sent, if need be with an error of the connection, which `on_trouble` is told of.

    One connection is enough: Redis runs one command at a time, and is the busier end of it (decision 0015).

    Each new connection first checks that it still leads to the Redis whose counters are known (`greet.lua`). What a
    connection that was closed had not answered is sent once more on a new one: a server may close one that was idle,
    and the scripts are idempotent by request id. A mute Redis is not asked twice.
    """

    pack = staticmethod(hiredis.pack_command)
    pack_call = staticmethod(Prepared.pack)

    def __init__(self, address: Address, on_trouble: Callable[[], None]) -> None:
        self._address = address
        self._on_trouble = on_trouble
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._waiting: list[Command] = []  # for a connection

    def send(self, commands: Sequence[Command]) -> None:
        """Send commands together."""
        if self._connection:
            self._connection.send(commands)
            return
        self._waiting += commands
        if not self._connecting:
            self._connecting = asyncio.create_task(self._connect_for_those_who_wait())

    async def ping(self) -> None:
        """See whether Redis answers: the greeting of a new connection is what it is asked. Raises RedisError."""
        if not self._connection:
            await self._connect()

    async def close(self) -> None:
        """Wait for the outstanding replies, then close."""
        while True:
            if self._connecting:
                await asyncio.wait([self._connecting])
            elif self._connection and (awaited := self._connection.awaited()):
                await asyncio.wait(awaited)
            else:
                break
        if self._connection:
            await self._connection.close()

    async def _connect_for_those_who_wait(self) -> None:
        try:
            await self._connect()
        except RedisError as error:
            self._fail(self._taken(), error)
        else:
            self.send(self._taken())
        finally:
            self._connecting = None
            if self._waiting:  # an error that is not Redis's ends this task, and must not leave anybody waiting
                self._fail(self._taken(), redis.ConnectionError("The connection to Redis could not be opened."))

    async def _connect(self) -> None:
        connection = Connection(self._address.timeout_s, self._lost)
        try:
            await self._address.connect(connection)
            await connection.ask("EVAL", _greet().source, 1, EPOCH)
            if connection.is_lost:
                raise redis.ConnectionError("Redis closed the connection after the greeting.")
            self._connection = connection
        finally:
            if connection is not self._connection:
                connection.abort()

    def _taken(self) -> list[Command]:
        commands, self._waiting = self._waiting, []
        return commands

    def _lost(self, connection: Connection, unanswered: Sequence[Command], error: RedisError) -> None:
        if connection is self._connection:
            self._connection = None
        again: list[Command] = []
        failed: list[Command] = []
        for command in unanswered:
            # Of other errors than this one, it was mute, or talks nonsense.
            may_repeat = command.may_repeat and isinstance(error, redis.ConnectionError)
            command.may_repeat = False
            (again if may_repeat else failed).append(command)
        if failed:
            self._fail(failed, error)
        if again:
            self.send(again)

    def _fail(self, commands: Sequence[Command], error: RedisError) -> None:
        for command in commands:
            command.answer(error)
        self._on_trouble()


@functools.cache
def _greet() -> Script:
    return Script(SCRIPTS / "greet.lua")
