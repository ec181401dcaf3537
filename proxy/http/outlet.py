"""The caller's end of a stream."""

import asyncio
from collections.abc import Awaitable, Callable

from proxy.http.eager import begin
from proxy.http.response import Write, never


class Outlet:
    """Takes bytes in the turn of the event loop that they arrive in.

    A caller who reads slowly makes the server wait: what is written meanwhile is kept in order, `hold` asks whoever
    writes to pause, and `go_on` to take it up again.
    """

    def __init__(
        self,
        write: Write,
        hold: Callable[[], None],
        go_on: Callable[[], None],
        write_at_once: Callable[[bytes], bool] = never,
    ) -> None:
        """`write_at_once` says whether it did; where it did not, `write` is asked."""
        self._write = write
        self._write_at_once = write_at_once
        self._hold = hold
        self._go_on = go_on
        self._kept: list[bytes] = []
        self._emptying: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        return self._emptying is not None

    def write(self, data: bytes) -> None:
        """Never waits. Raises what the server raises."""
        if self._emptying:
            if self._emptying.done():  # it failed, else it would be gone
                self._emptying.result()
            self._kept.append(data)
            return
        if self._write_at_once(data):
            return
        rest = begin(self._write(data))
        if rest is not None:
            self._hold()
            self._emptying = asyncio.ensure_future(self._empty(rest))
            self._emptying.add_done_callback(_note_failure)

    async def drain(self) -> None:
        """Wait until everything is with the server. Raises what the server raises."""
        while self._emptying:
            await asyncio.shield(self._emptying)

    def close(self) -> None:
        """Drop what the server has not taken. Whoever writes is not told of anything any more."""
        if self._emptying:
            self._emptying.cancel()
        self._hold = self._go_on = _nothing  # else both would refer to each other, and wait for the garbage collector

    async def _empty(self, rest: Awaitable[None]) -> None:
        try:
            await rest
            while self._kept:
                data = b"".join(self._kept)
                self._kept.clear()
                await self._write(data)
            self._emptying = None
        finally:
            self._go_on()


def _nothing() -> None:
    pass


def _note_failure(emptying: asyncio.Task[None]) -> None:
    """A caller who has left is not told of it: to asyncio that is no mistake."""
    if not emptying.cancelled():
        emptying.exception()
