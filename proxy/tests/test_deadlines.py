"""What takes too long is ended, and nothing else."""

import asyncio

import pytest

from proxy.deadlines import Deadlines

pytestmark = pytest.mark.both_loops

SOON, LATE = 0.03, 30.0


class Late(Exception):
    pass


async def test_what_ends_in_time_is_left_alone():
    deadlines = Deadlines()
    with deadlines.within(SOON, Late):
        await asyncio.sleep(0)
    await asyncio.sleep(2 * SOON)


async def test_what_takes_too_long_is_ended():
    deadlines = Deadlines()
    with pytest.raises(Late), deadlines.within(SOON, Late):
        await asyncio.sleep(LATE)
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0


async def test_each_has_a_deadline_of_its_own():
    deadlines = Deadlines()
    ended: list[float] = []

    async def wait(seconds: float) -> None:
        with pytest.raises(Late), deadlines.within(seconds, Late):
            await asyncio.sleep(LATE)
        ended.append(seconds)

    with deadlines.within(LATE, Late):
        await asyncio.gather(wait(3 * SOON), wait(SOON), wait(2 * SOON))
    assert ended == [SOON, 2 * SOON, 3 * SOON]


async def test_a_timer_that_was_set_for_another_ends_what_is_late_by_then():
    deadlines = Deadlines()
    with deadlines.within(SOON, Late):
        await asyncio.sleep(0)
    with pytest.raises(Late), deadlines.within(2 * SOON, Late):
        await asyncio.sleep(LATE)


async def test_whoever_is_cancelled_is_not_late():
    deadlines = Deadlines()

    async def wait() -> None:
        with deadlines.within(LATE, Late):
            await asyncio.sleep(LATE)

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_whoever_is_cancelled_when_it_is_late_is_cancelled():
    deadlines = Deadlines()

    async def wait() -> None:
        with deadlines.within(SOON, Late):
            try:
                await asyncio.sleep(LATE)
            except asyncio.CancelledError:
                waiting.cancel()
                raise

    waiting = asyncio.ensure_future(wait())
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_another_error_goes_on_as_it_is():
    deadlines = Deadlines()
    with pytest.raises(ValueError, match="own"), deadlines.within(SOON, Late):
        raise ValueError("own")


async def test_a_limit_that_ended_inside_counts_as_late():
    with pytest.raises(Late), Deadlines().within(LATE, Late):
        async with asyncio.timeout(SOON):
            await asyncio.sleep(LATE)
