"""A provider's answer as it comes: read where it is waited for, or handed over where it arrives."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from proxy.upstreams.failures import UpstreamFailure

# A reader that lags behind by more holds the provider back.
MAX_UNREAD_BYTES = 256 * 1024

# Returns whether it has all that it wants.
TakeBytes = Callable[[bytes], bool]


class Shortcut(Protocol):
    """Reads in place of a connection, and takes whole chunks of HTTP; leaves to `otherwise` what it does not take."""

    otherwise: Callable[[bytes], None]

    def read(self, data: bytes) -> None: ...

    def close(self) -> None:
        """Take nothing until `otherwise` has read more: the next byte does not begin a chunk, or nobody wants it."""


class Carrier(Protocol):
    """The connection that an answer comes over."""

    loop: asyncio.AbstractEventLoop

    def carries(self, response: "Response") -> bool: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def divert(self, shortcut: Shortcut) -> None: ...

    def leave(self, response: "Response") -> None: ...

    def leave_at_end(self, response: "Response") -> None: ...


class Response:
    """A provider's answer, whose head is here. Names of `headers` are in lower case, the last one of a name counts.

    Close it, whatever happens: an answer that was not read to its end ends the connection.
    """

    def __init__(self, connection: Carrier) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._connection = connection
        self._unread: list[bytes] = []
        self._unread_bytes = 0
        self._is_whole = False
        self._failure: UpstreamFailure | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._take: TakeBytes | None = None
        self._shortcut: Shortcut | None = None
        self._is_held = False

    @property
    def content_type(self) -> str:
        """Without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def read(self) -> bytes:
        """What has arrived of the body, waiting for something; b"" at its end.

        Raises ConnectionBroken (also where the answer was closed before its end), MalformedAnswer.
        """
        while not self._unread:
            if self._is_whole:
                return b""
            await self._wait()
        unread = self._unread
        data = unread[0] if len(unread) == 1 else b"".join(unread)
        unread.clear()
        if self._unread_bytes > MAX_UNREAD_BYTES:
            self._connection.resume()
        self._unread_bytes = 0
        return data

    def flow(self, take: TakeBytes, shortcut: Shortcut | None = None) -> asyncio.Future[None]:
        """From now on hand over what comes of the body where it arrives, b"" at its end, instead of keeping it.

        The shortcut reads first, with the framing of HTTP. Done at the end, or when `take` says that it has all it
        wants. Raises ConnectionBroken, or what `take` raised.
        """
        self._waiter = end = self._connection.loop.create_future()
        self._take = take
        if shortcut and self._connection.carries(self):
            self._shortcut = shortcut
            self._connection.divert(shortcut)
        unread, self._unread, self._unread_bytes = self._unread, [], 0
        for data in unread:
            self.add(data)
        if unread:  # which does not tell whether it ends where a chunk of HTTP does
            self._close_shortcut()
        if self._is_whole or self._failure:
            self._tell_of_end()
        if not self._is_held:  # by a `take` that cannot keep up already
            self.go_on()
        return end

    def hold(self) -> None:
        """Hold the provider back. What has arrived already still comes."""
        self._is_held = True
        if self._connection.carries(self):
            self._connection.pause()

    def go_on(self) -> None:
        self._is_held = False
        if self._connection.carries(self):
            self._connection.resume()

    def close(self) -> None:
        self._connection.leave(self)

    def finish(self) -> None:
        """Close it, when all that matters is here: the rest may still come, so that the connection can be kept."""
        self._take = _nothing_more
        self._connection.leave_at_end(self)

    async def wait_for_head(self) -> None:
        """Raises ConnectionBroken, MalformedAnswer."""
        while not self.status:
            await self._wait()

    async def _wait(self) -> None:
        if self._failure:
            raise self._failure
        self._waiter = self._connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def add(self, data: bytes) -> None:
        """More of the body has come; b"" is its end, where it is handed over."""
        if (take := self._take) is None:
            self._keep(data)
            return
        end = self._waiter
        if end is None or end.done():
            self._close_shortcut()
            return
        try:
            if not take(data):
                return
            end.set_result(None)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where `flow` is awaited
            end.set_exception(error)
        self._close_shortcut()

    def _keep(self, data: bytes) -> None:
        self._unread.append(data)
        self._unread_bytes += len(data)
        if self._unread_bytes > MAX_UNREAD_BYTES:
            self._connection.pause()
        if (waiter := self._waiter) and not waiter.done():  # `wake`, once for each chunk that is waited for
            waiter.set_result(None)

    def end(self, failure: UpstreamFailure | None = None) -> None:
        """Nothing more will come: the body is whole, or this is what broke it off. What was said first, counts."""
        if self._is_whole or self._failure:
            return
        self._is_whole = failure is None
        self._failure = failure
        self._close_shortcut()
        self._tell_of_end()

    def _tell_of_end(self) -> None:
        if self._take and self._is_whole:
            self.add(b"")
        elif self._take and self._failure and self._waiter and not self._waiter.done():
            self._waiter.set_exception(self._failure)
        self.wake()

    def _close_shortcut(self) -> None:
        if self._shortcut:
            self._shortcut.close()

    def wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


def _nothing_more(data: bytes) -> bool:
    return True
