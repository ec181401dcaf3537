"""Noticing that nothing happens."""

import asyncio
from collections.abc import Callable, Sized

# How often in a period it is looked whether anything was heard: silence is noticed at most a look late.
LOOKS = 16


class SilenceWatch:
    """Calls `act` each time that nothing was heard for so many seconds (0: never).

    Set `heard` whenever something is, or let `delivered` grow: that is all it costs, however much is heard. One timer
    looks at both.
    """

    def __init__(self, period_s: float, act: Callable[[], None], delivered: Sized = ()) -> None:
        self.heard = False
        self._act = act
        self._delivered = delivered
        self._seen = len(delivered)
        self._silent_looks = 0
        self._loop = asyncio.get_running_loop()
        self._pause_s = period_s / LOOKS
        self._timer = self._loop.call_later(self._pause_s, self._look) if period_s else None

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._act = _nothing  # else whoever acts and this would refer to each other, and wait for the garbage collector

    def _look(self) -> None:
        seen, self._seen = self._seen, len(self._delivered)
        self._silent_looks = 0 if self.heard or self._seen != seen else self._silent_looks + 1
        self.heard = False
        self._timer = self._loop.call_later(self._pause_s, self._look)
        if self._silent_looks >= LOOKS:
            self._silent_looks = 0
            self._act()


def _nothing() -> None:
    pass
