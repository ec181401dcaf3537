"""The caller's end of a stream: bytes in order, in the turn they arrive in, and no more of them than it can take."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.middleware.cors import CORSMiddleware

from proxy.http.eager import begin
from proxy.http.outlet import Outlet


class Server:
    """Takes what is written, unless it has to be `free` first; `fails` with an error instead of taking it."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.free = asyncio.Event()
        self.free.set()
        self.error: Exception | None = None
        self.told: list[str] = []

    async def write(self, data: bytes) -> None:
        await self.free.wait()
        if self.error:
            raise self.error
        self.taken.append(data)

    def outlet(self) -> Outlet:
        return Outlet(self.write, lambda: self.told.append("hold"), lambda: self.told.append("go on"))


@pytest.fixture
async def complaints() -> list[dict[str, Any]]:
    """What asyncio has to complain of, such as an exception that nobody looked at."""
    found: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    return found


async def test_what_a_server_takes_at_once_is_with_it_before_write_returns():
    server = Server()
    outlet = server.outlet()
    outlet.write(b"1")
    assert server.taken == [b"1"]
    assert not outlet.is_full
    assert server.told == []


async def test_what_is_written_while_the_server_waits_follows_in_order():
    server = Server()
    server.free.clear()
    outlet = server.outlet()
    for data in (b"1", b"2", b"3"):
        outlet.write(data)
    assert server.told == ["hold"]
    assert outlet.is_full
    server.free.set()
    await outlet.drain()
    outlet.write(b"4")
    assert b"".join(server.taken) == b"1234"
    assert server.told == ["hold", "go on"]
    assert not outlet.is_full


async def test_a_server_that_waits_again_while_it_is_caught_up_with_is_waited_for_again():
    server = Server()
    server.free.clear()
    outlet = server.outlet()
    outlet.write(b"1")
    outlet.write(b"2")
    server.free.set()
    await asyncio.sleep(0)
    server.free.clear()
    outlet.write(b"3")
    server.free.set()
    await outlet.drain()
    assert b"".join(server.taken) == b"123"
    assert server.told == ["hold", "go on"]


async def test_what_the_server_raises_at_once_is_raised_by_write():
    server = Server()
    server.error = ConnectionResetError("gone")
    with pytest.raises(ConnectionResetError):
        server.outlet().write(b"1")


async def test_what_the_server_raises_later_is_raised_by_the_next_write_and_by_drain():
    server = Server()
    server.free.clear()
    outlet = server.outlet()
    outlet.write(b"1")
    server.error = ConnectionResetError("gone")
    server.free.set()
    await asyncio.sleep(0.01)
    assert server.told == ["hold", "go on"], "whoever writes would never learn of it"
    with pytest.raises(ConnectionResetError):
        outlet.write(b"2")
    with pytest.raises(ConnectionResetError):
        await outlet.drain()


async def test_a_failure_that_nobody_asks_for_any_more_is_no_complaint(complaints: list[dict[str, Any]]):
    server = Server()
    server.free.clear()
    outlet = server.outlet()
    outlet.write(b"1")
    server.error = ConnectionResetError("gone")
    server.free.set()
    await asyncio.sleep(0.01)
    outlet.close()
    del outlet
    gc.collect()
    assert complaints == []


async def test_closing_drops_what_waits_and_leaves_no_task_behind():
    server = Server()
    server.free.clear()
    outlet = server.outlet()
    outlet.write(b"1")
    outlet.write(b"2")
    outlet.close()
    await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    server.free.set()
    await asyncio.sleep(0.01)
    assert server.taken == []


async def test_who_waits_for_the_rest_may_be_cancelled_without_losing_it():
    server = Server()
    server.free.clear()
    outlet = server.outlet()
    outlet.write(b"1")
    waiting = asyncio.ensure_future(outlet.drain())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    server.free.set()
    await outlet.drain()
    assert server.taken == [b"1"]


async def two_waits(log: list[str], first: Awaitable[object], second: Awaitable[object]) -> None:
    log.append("began")
    await first
    log.append("first")
    await second
    log.append("second")


async def test_a_coroutine_is_run_up_to_its_first_wait_and_the_rest_when_it_is_awaited():
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    log: list[str] = []
    rest = begin(two_waits(log, first, second))
    assert log == ["began"]
    assert rest is not None
    loop.call_soon(first.set_result, None)
    loop.call_later(0.01, second.set_result, None)
    await rest
    assert log == ["began", "first", "second"]


@pytest.mark.parametrize(
    "wait", [lambda: asyncio.sleep(0), lambda: asyncio.sleep(0.001), lambda: asyncio.Lock().acquire()]
)
async def test_whatever_it_waits_for_it_ends(wait: Callable[[], Awaitable[object]]):
    log: list[str] = []
    if (rest := begin(two_waits(log, wait(), wait()))) is not None:
        await rest
    assert log == ["began", "first", "second"]


async def test_an_error_of_what_it_waits_for_is_its_own_to_handle():
    async def work() -> None:
        try:
            await future
        except ConnectionResetError:
            await asyncio.sleep(0)  # waits once more, in the handling itself
            log.append("handled")

    log: list[str] = []
    future = asyncio.get_running_loop().create_future()
    rest = begin(work())
    assert rest is not None
    future.set_exception(ConnectionResetError())
    await rest
    assert log == ["handled"]


async def test_a_cancelled_rest_is_cancelled_where_it_waits_and_may_clean_up():
    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            log.append("cleaned up")

    async def await_rest(rest: Awaitable[None]) -> None:
        await rest

    log: list[str] = []
    rest = begin(work())
    assert rest is not None
    task = asyncio.ensure_future(await_rest(rest))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert log == ["cleaned up"]


async def test_a_send_that_the_cors_middleware_has_wrapped_needs_no_task():
    sent: list[dict[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        async def answer() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})

        loop.call_soon(lambda: log.append(begin(answer())))  # in a callback, where there is no task
        await asyncio.sleep(0.01)

    async def send(message: Any) -> None:
        sent.append(message)

    loop, log = asyncio.get_running_loop(), list[Any]()
    headers = [(b"origin", b"https://app.example")]
    middleware = CORSMiddleware(application, allow_origins=["https://app.example"])
    await middleware({"type": "http", "method": "POST", "headers": headers}, None, send)  # type: ignore[arg-type]  # reads nothing
    assert log == [None]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert (b"access-control-allow-origin", b"https://app.example") in sent[0]["headers"]


async def test_what_can_be_written_at_once_needs_no_coroutine_and_keeps_its_place():
    server = Server()
    has_room = True

    def write_at_once(data: bytes) -> bool:
        if has_room:
            server.taken.append(data)
        return has_room

    outlet = Outlet(server.write, lambda: None, lambda: None, write_at_once)
    outlet.write(b"1")
    has_room = False
    server.free.clear()
    outlet.write(b"2")
    has_room = True
    outlet.write(b"3")  # must not overtake the second, which waits
    assert server.taken == [b"1"]
    server.free.set()
    await outlet.drain()
    outlet.write(b"4")
    assert b"".join(server.taken) == b"1234"
