"""Ending what takes too long."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import cast

# However many end one after the other, all are looked at no more often: they may end so much late.
LOOK_EVERY_S = 0.01


class Deadlines:
    """The deadlines of one event loop. One timer for all: nearly everything ends long before its own."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waits: set[Wait] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next_look = 0.0

    def within(self, seconds: float, late: Callable[[], Exception]) -> "Wait":
        """To be entered around what may take so long; raises `late` there. As `asyncio.timeout`, but for the timers."""
        return Wait(self, self._loop.time() + seconds, late)

    def add(self, wait: "Wait") -> None:
        self._waits.add(wait)
        if self._timer is None or wait.ends_at < self._next_look:
            self._look_at(wait.ends_at)

    def remove(self, wait: "Wait") -> None:
        self._waits.discard(wait)

    def _look_at(self, time: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer, self._next_look = self._loop.call_at(time, self._look), time

    def _look(self) -> None:
        """End what is late by now, and look again when the next one may be."""
        self._timer = None
        now = self._loop.time()
        for wait in [wait for wait in self._waits if wait.ends_at <= now]:
            self._waits.remove(wait)
            wait.end()
        if self._waits:
            self._look_at(max(min(wait.ends_at for wait in self._waits), now + LOOK_EVERY_S))


class Wait:
    """What the current task waits for inside."""

    __slots__ = ("_cancelling", "_deadlines", "_is_late", "_late", "_task", "ends_at")

    def __init__(self, deadlines: Deadlines, ends_at: float, late: Callable[[], Exception]) -> None:
        self.ends_at = ends_at
        self._deadlines = deadlines
        self._late = late
        self._is_late = False

    def end(self) -> None:
        self._is_late = True
        self._task.cancel()

    def __enter__(self) -> None:
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelling = self._task.cancelling()
        self._deadlines.add(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._deadlines.remove(self)
        # Else it was the caller who hung up, or both at once.
        is_late = self._is_late and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError
        if is_late or isinstance(error, TimeoutError):  # or somebody inside had a limit of their own
            raise self._late() from error
