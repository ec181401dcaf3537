"""One timer notices that nothing happens, however much does."""

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest

from proxy.silence import LOOKS, SilenceWatch

LOOK = 10 / LOOKS


class Timer:
    def __init__(self, when: float, fire: Callable[[], None]) -> None:
        self.when = when
        self.fire = fire
        self.is_due_some_time = True

    def cancel(self) -> None:
        self.is_due_some_time = False


class Clock:
    """Stands for the event loop. Its time passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[Timer] = []
        self.soon: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, fire: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + seconds, fire))
        return self.timers[-1]

    def call_soon(self, call: Callable[[], None]) -> None:
        self.soon.append(call)

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        self._call_what_is_due()
        while due := [timer for timer in self.timers if timer.is_due_some_time and timer.when <= until]:
            timer = min(due, key=lambda each: each.when)
            timer.cancel()
            self.now = timer.when
            timer.fire()
            self._call_what_is_due()
        self.now = until

    def _call_what_is_due(self) -> None:
        while self.soon:
            self.soon.pop(0)()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    return clock


def test_silence_is_told_each_time_that_it_has_lasted_a_period(clock: Clock):
    told: list[float] = []
    SilenceWatch(10.0, lambda: told.append(clock.now))
    clock.pass_time(35)
    assert told == [1010 + LOOK, 1020 + LOOK, 1030 + LOOK]


def test_what_is_heard_puts_it_off_and_it_is_noticed_at_most_a_look_late(clock: Clock):
    told: list[float] = []
    watch = SilenceWatch(10.0, lambda: told.append(clock.now))
    for _ in range(7):
        clock.pass_time(6)
        watch.heard = True
    assert told == []
    clock.pass_time(10)
    assert told == []
    clock.pass_time(LOOK)
    assert told == [1052.5]


def test_one_timer_at_a_time_is_set_however_much_is_heard(clock: Clock):
    watch = SilenceWatch(10.0, lambda: None)
    for _ in range(1000):
        clock.pass_time(0.01)
        watch.heard = True
    assert len(clock.timers) <= LOOKS + 1
    assert sum(timer.is_due_some_time for timer in clock.timers) == 1


def test_a_period_of_0_watches_nothing(clock: Clock):
    told: list[float] = []
    watch = SilenceWatch(0, lambda: told.append(clock.now))
    watch.heard = True
    assert clock.timers == []
    watch.stop()
    assert told == []


def test_after_stop_nothing_is_told(clock: Clock):
    told: list[float] = []
    watch = SilenceWatch(10.0, lambda: told.append(clock.now))
    clock.pass_time(5)
    watch.stop()
    clock.pass_time(100)
    assert told == []


def test_what_it_tells_may_stop_it(clock: Clock):
    told: list[float] = []

    def end() -> None:
        told.append(clock.now)
        watch.stop()

    watch = SilenceWatch(10.0, end)
    clock.pass_time(100)
    assert told == [1010 + LOOK]


def test_a_mistake_of_who_is_told_does_not_end_the_watch(clock: Clock):
    told: list[float] = []

    def stumble() -> None:
        told.append(clock.now)
        raise ConnectionResetError

    SilenceWatch(10.0, stumble)
    SilenceWatch(10.0, stumble)
    for seconds in (10 + LOOK, 0, 10, 0):
        with pytest.raises(ConnectionResetError):
            clock.pass_time(seconds)
    assert told == [1010 + LOOK] * 2 + [1020 + LOOK] * 2


def test_all_watches_of_a_loop_share_a_timer_and_each_has_its_own_time(clock: Clock):
    told: dict[str, list[float]] = {"first": [], "second": []}
    SilenceWatch(10.0, lambda: told["first"].append(clock.now))
    clock.pass_time(5)
    second = SilenceWatch(10.0, lambda: told["second"].append(clock.now))
    assert len(clock.timers) == 9
    clock.pass_time(11)
    assert told == {"first": [1010 + LOOK], "second": [1015 + LOOK]}
    second.stop()
    clock.pass_time(10)
    assert told == {"first": [1010 + LOOK, 1020 + LOOK], "second": [1015 + LOOK]}


def test_where_nobody_watches_no_timer_is_set(clock: Clock):
    SilenceWatch(10.0, lambda: None).stop()
    clock.pass_time(LOOK)
    assert not any(timer.is_due_some_time for timer in clock.timers)
    told: list[float] = []
    SilenceWatch(10.0, lambda: told.append(clock.now))
    clock.pass_time(11)
    assert len(told) == 1


def test_an_event_loop_that_has_ended_is_forgotten():
    def watched() -> "weakref.ref[asyncio.AbstractEventLoop]":
        loop = asyncio.new_event_loop()
        loop.run_until_complete(watch())
        loop.close()
        return weakref.ref(loop)

    async def watch() -> None:
        SilenceWatch(10.0, lambda: None)

    ended = watched()
    gc.collect()
    assert ended() is None
