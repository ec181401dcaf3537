"""A connection to a real Redis: commands go out in order, and their replies come back in that order."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis
import redis
from redis._parsers import BaseParser
from redis.exceptions import InvalidResponse, RedisError

from accounts.redis.command import Command

# An event loop that was held up may look at the clock before it reads what has long arrived: it looks a second time.
SECOND_LOOK_S = 0.01
NOT_YET = object()

OnLost = Callable[["Connection", Sequence[Command], RedisError], None]


class Connection(asyncio.Protocol):
    """Reads and writes RESP2. When it is lost, `on_lost` is told once, with what was not answered, and why.

    A reply belongs to the oldest command that has none: that of a cancelled caller is taken off the line, and given to
    nobody. A Redis that says nothing for `timeout_s` though it was asked is mute: the connection is dropped with a
    TimeoutError. One timer sees to that, which runs only while something is asked, and is moved on only when it fires.
    """

    _write: Callable[[bytes], None]

    def __init__(self, timeout_s: float, on_lost: OnLost) -> None:
        self.is_lost = False
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._transport: asyncio.Transport | None = None
        self._unanswered: deque[Command] = deque()
        self._quiet_since = self._doubted = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=BaseParser.parse_error, errors="replace", notEnoughData=NOT_YET
        )

    def ask(self, *command: Any) -> "asyncio.Future[Any]":
        """Send one command, which will not be repeated; await the reply. Raises RedisError."""
        asked = Command(hiredis.pack_command(command), self._loop.create_future(), may_repeat=False)
        if self.is_lost:
            asked.answer(redis.ConnectionError("Redis has closed the connection."))
        else:
            self.send([asked])
        return asked.reply

    def send(self, commands: Sequence[Command]) -> None:
        """Send commands in one write; the transport keeps what the network does not take yet."""
        if not self._unanswered:
            self._quiet_since = self._loop.time()
        self._unanswered.extend(commands)
        self._write(b"".join([command.packed for command in commands]))
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_s, self._look_at_the_clock)

    def awaited(self) -> list["asyncio.Future[Any]"]:
        """The replies that somebody waits for."""
        return [command.reply for command in self._unanswered if not command.reply.done()]

    async def close(self) -> None:
        """Close when everything is written. It is not waited for replies."""
        if self._transport:
            self._transport.close()
            await self._closed

    def abort(self) -> None:
        """Close at once; `on_lost` is not told."""
        self.is_lost = True
        self._stop()

    # What the event loop calls --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._write = self._transport.write

    def data_received(self, data: bytes) -> None:
        self._quiet_since = self._loop.time()
        unanswered, gets = self._unanswered, self._reader.gets
        try:
            self._reader.feed(data)
            while (reply := gets()) is not NOT_YET:
                if isinstance(reply, redis.ConnectionError):  # it will not serve us, or not yet
                    self._lose(reply)
                    return
                if not unanswered:
                    self._lose(InvalidResponse("A reply came that nobody had asked for."))
                    return
                unanswered.popleft().answer(reply)
        except InvalidResponse as error:
            self._lose(error)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(None)
        self._lose(redis.ConnectionError(f"Redis closed the connection: {error or 'no reason given'}."))

    # ----------------------------------------------------------------------------------------------------------------

    def _look_at_the_clock(self) -> None:
        self._timer = None
        if not self._unanswered:
            return
        left_s = self._quiet_since + self._timeout_s - self._loop.time()
        if left_s <= 0:
            if self._doubted == self._quiet_since:
                self._lose(redis.TimeoutError(f"Redis has not answered for {self._timeout_s:g} s."))
                return
            self._doubted, left_s = self._quiet_since, SECOND_LOOK_S
        self._timer = self._loop.call_later(left_s, self._look_at_the_clock)

    def _lose(self, error: RedisError) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        left = [command for command in self._unanswered if not command.reply.done()]
        self._stop()
        self._on_lost(self, left, error)

    def _stop(self) -> None:
        self._unanswered.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._transport:
            self._transport.abort()
