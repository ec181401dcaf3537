"""Noticing that nothing happens."""

import asyncio
from collections.abc import Callable, Sized
from weakref import WeakKeyDictionary

# How often in a period it is looked whether anything was heard: silence is noticed at most a look late.
LOOKS = 16


class SilenceWatch:
    """Calls `act` each time that nothing was heard for so many seconds (0: never).

    Set `heard` whenever something is, or let `delivered` grow: that is all it costs, however much is heard.
    """

    def __init__(self, period_s: float, act: Callable[[], None], delivered: Sized = ()) -> None:
        self.heard = True  # the time up to the first look is shorter than that between two
        self._act = act
        self._delivered = delivered
        self._seen = len(delivered)
        self._silent_looks = 0
        self._rounds = _rounds(period_s / LOOKS) if period_s else None
        if self._rounds:
            self._rounds.add(self)

    def stop(self) -> None:
        if self._rounds:
            self._rounds.remove(self)
        self._act = _nothing  # else whoever acts and this would refer to each other, and wait for the garbage collector

    def look(self) -> bool:
        """Whether it is time to act, by what was heard since the last look."""
        seen, self._seen = self._seen, len(self._delivered)
        self._silent_looks = 0 if self.heard or self._seen != seen else self._silent_looks + 1
        self.heard = False
        if self._silent_looks < LOOKS:
            return False
        self._silent_looks = 0
        return True

    def act(self) -> None:
        self._act()


class Rounds:
    """Looks at all watches of the same period, with one timer."""

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._watches: set[SilenceWatch] = set()
        self._go_on = False  # not the timer: it knows the event loop, which could not be forgotten, then

    def add(self, watch: SilenceWatch) -> None:
        self._watches.add(watch)
        if not self._go_on:
            self._go_on = True
            asyncio.get_running_loop().call_later(self._pause_s, self._look)

    def remove(self, watch: SilenceWatch) -> None:
        self._watches.discard(watch)

    def _look(self) -> None:
        self._go_on = bool(self._watches)
        if not self._go_on:
            return
        loop = asyncio.get_running_loop()
        loop.call_later(self._pause_s, self._look)
        for watch in [watch for watch in self._watches if watch.look()]:
            loop.call_soon(watch.act)  # each by itself: it may stop watches, and fail


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[float, Rounds]] = WeakKeyDictionary()


def _rounds(pause_s: float) -> Rounds:
    """Those of this event loop."""
    of_loop = _of_loops.setdefault(asyncio.get_running_loop(), {})
    if pause_s not in of_loop:
        of_loop[pause_s] = Rounds(pause_s)
    return of_loop[pause_s]


def _nothing() -> None:
    pass
