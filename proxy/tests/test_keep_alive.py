"""Comments fill the silence of a stream, and only silence."""

import asyncio
from typing import Any

import pytest

from conftest import PATIENCE_S
from proxy.http.keep_alive import KeepAlive
from proxy.upstreams.sse import KEEP_ALIVE


@pytest.fixture(autouse=True)
def _often(settings: Any) -> None:
    settings.GATEWAY_KEEP_ALIVE_S = 0.01


class Caller:
    """Somebody who reads only while `reads` is set."""

    def __init__(self) -> None:
        self.offered: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.was_offered_one = asyncio.Event()
        self.was_offered_four = asyncio.Event()
        self.error: Exception | None = None

    async def write(self, data: bytes) -> None:
        self.offered.append(data)
        self.was_offered_one.set()
        if len(self.offered) == 4:
            self.was_offered_four.set()
        await self.reads.wait()
        if self.error:
            raise self.error


async def test_silence_is_filled():
    caller = Caller()
    async with asyncio.timeout(PATIENCE_S), KeepAlive(caller.write) as write:
        await write(b"data: 1\n\n")
        await caller.was_offered_four.wait()
        await write(b"data: 2\n\n")
    assert caller.offered[0] == b"data: 1\n\n"
    assert set(caller.offered[1:-1]) == {KEEP_ALIVE}
    assert caller.offered[-1] == b"data: 2\n\n"


async def test_nothing_piles_up_for_a_caller_who_does_not_read():
    caller = Caller()
    caller.reads.clear()
    async with KeepAlive(caller.write) as write:
        blocked = asyncio.ensure_future(write(b"data: 1\n\n"))
        await asyncio.sleep(0.1)
        assert caller.offered == [b"data: 1\n\n"]
        caller.reads.set()
        await blocked


async def test_one_comment_waits_at_most():
    caller = Caller()
    caller.reads.clear()
    async with KeepAlive(caller.write) as write:
        await asyncio.sleep(0.1)
        assert caller.offered == [KEEP_ALIVE]
        caller.reads.set()
        await write(b"data: 1\n\n")
    assert b"data: 1\n\n" in caller.offered


async def test_a_caller_who_hangs_up_is_not_waited_for():
    async def follow() -> None:
        async with KeepAlive(caller.write):
            await asyncio.sleep(PATIENCE_S)

    caller = Caller()
    caller.reads.clear()
    following = asyncio.ensure_future(follow())
    await caller.was_offered_one.wait()
    following.cancel()
    await asyncio.wait([following], timeout=PATIENCE_S)
    assert following.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_the_server_raises_at_a_comment_is_raised_by_the_next_write():
    async with KeepAlive((caller := Caller()).write) as write:
        caller.error = ConnectionResetError()
        await caller.was_offered_one.wait()
        with pytest.raises(ConnectionResetError):
            await write(b"data: 1\n\n")
    assert caller.offered == [KEEP_ALIVE], "nothing follows what failed"


async def test_no_second_comment_overtakes_a_write_that_waits_for_the_first():
    caller = Caller()
    caller.reads.clear()
    async with KeepAlive(caller.write) as write:
        await caller.was_offered_one.wait()
        writing = asyncio.ensure_future(write(b"data: 1\n\n"))
        await asyncio.sleep(0.05)
        caller.reads.set()
        await writing
        assert caller.offered == [KEEP_ALIVE, b"data: 1\n\n"]
