"""One timer notices that nothing happens, however much does."""

import asyncio
from collections.abc import Callable

import pytest

from proxy.silence import LOOKS, SilenceWatch


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

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, fire: Callable[[], None]) -> Timer:
        self.timers.append(Timer(self.now + seconds, fire))
        return self.timers[-1]

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [timer for timer in self.timers if timer.is_due_some_time and timer.when <= until]:
            timer = min(due, key=lambda each: each.when)
            timer.cancel()
            self.now = timer.when
            timer.fire()
        self.now = until


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    return clock


def test_silence_is_told_each_time_that_it_has_lasted_a_period(clock: Clock):
    told: list[float] = []
    SilenceWatch(10.0, lambda: told.append(clock.now))
    clock.pass_time(35)
    assert told == [1010, 1020, 1030]


def test_what_is_heard_puts_it_off_and_it_is_noticed_at_most_a_look_late(clock: Clock):
    told: list[float] = []
    watch = SilenceWatch(10.0, lambda: told.append(clock.now))
    for _ in range(7):
        clock.pass_time(6)
        watch.heard = True
    assert told == []
    clock.pass_time(10)
    assert told == []
    clock.pass_time(10 / LOOKS)
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
    assert told == [1010]


def test_a_mistake_of_who_is_told_does_not_end_the_watch(clock: Clock):
    told: list[float] = []

    def stumble() -> None:
        told.append(clock.now)
        raise ConnectionResetError

    SilenceWatch(10.0, stumble)
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            clock.pass_time(10)
        clock.now = told[-1]
    assert told == [1010, 1020]
