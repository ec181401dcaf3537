"""Noticing that nothing happens."""

import asyncio
from collections.abc import Callable


class SilenceWatch:
    """Calls `act` each time that nothing was noted for so many seconds (0: never). One timer, however much is noted."""

    def __init__(self, period_s: float, act: Callable[[], None]) -> None:
        self._period_s = period_s
        self._act = act
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timer = self._loop.call_at(self._last + period_s, self._look) if period_s else None

    def note(self) -> None:
        self._last = self._loop.time()

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _look(self) -> None:
        is_silent = self._loop.time() - self._last >= self._period_s
        if is_silent:
            self.note()
        self._timer = self._loop.call_at(self._last + self._period_s, self._look)
        if is_silent:
            self._act()
