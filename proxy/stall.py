"""How long a model may be silent in mid-answer."""

import asyncio
from types import TracebackType
from typing import Self

from proxy.upstreams.failures import TimedOut


def stalled(patience_s: float) -> TimedOut:
    return TimedOut(f"The model fell silent for {patience_s:g} s.", code="stalled")


class StallWatch:
    """Ends a wait that takes too long: enter it for each one. Raises TimedOut there.

    As `asyncio.timeout`, but with one timer for all of a stream's chunks instead of one for each.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._since: float | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._stalled = False

    def stop(self) -> None:
        """Call it when nothing more is waited for."""
        if self._timer:
            self._timer.cancel()

    def __enter__(self) -> Self:
        self._since = self._loop.time()
        self._waiting = asyncio.current_task(self._loop)
        if self._timer is None:
            self._cancelling = self._waiting.cancelling() if self._waiting else 0
            self._timer = self._loop.call_later(self._patience_s, self._look)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._since = None
        if not self._stalled or self._waiting is None or kind is not asyncio.CancelledError:
            return
        if self._waiting.uncancel() <= self._cancelling:  # else the caller hung up, too
            raise stalled(self._patience_s) from error

    def _look(self) -> None:
        """Cancel what waits for too long already; else look again when that may be so."""
        now = self._loop.time()
        since = now if self._since is None else self._since
        if now - since < self._patience_s:
            self._timer = self._loop.call_at(since + self._patience_s, self._look)
        elif self._waiting:
            self._stalled = True
            self._waiting.cancel()
