"""A shortcut reads in place of a connection, until the answer that it is for has ended; under both event loops."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable

import pytest

from proxy.tests.provider_line import END, HEAD, chunked
from proxy.tests.raw_server import OK, Behaviour, Peer, RawServer, ask, post, soon
from proxy.upstreams.failures import ConnectionBroken
from proxy.upstreams.http import Pool, Response

pytestmark = pytest.mark.both_loops


class Shortcut:
    """Takes chunks that begin a read and say "passes", once it is open."""

    def __init__(self) -> None:
        self.otherwise: Callable[[bytes], None] = lambda _: None
        self.passed: list[bytes] = []
        self.is_open = False

    def read(self, data: bytes) -> None:
        if self.is_open and b"passes" in data:
            self.passed.append(data)
        else:
            self.otherwise(data)

    def close(self) -> None:
        self.is_open = False


class Flow:
    """An answer that is handed over; the shortcut may take what follows a whole chunk."""

    def __init__(self, response: Response) -> None:
        self.taken: list[bytes] = []
        self.shortcut = Shortcut()
        self.response = response
        self.end = response.flow(self._take, self.shortcut)

    def _take(self, data: bytes) -> bool:
        self.taken.append(data)
        self.shortcut.is_open = True
        return False


class Steps:
    """The provider's side: each step is sent when the one before has been seen."""

    def __init__(self, *steps: bytes) -> None:
        self._steps = steps
        self.may_go_on = asyncio.Semaphore(0)

    async def __call__(self, peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD + b"\r\n")
        for step in self._steps:
            await self.may_go_on.acquire()
            await peer.send(step)
        await peer.request()
        await peer.send(OK)


@pytest.fixture(params=["http", "https"])
def scheme(request: pytest.FixtureRequest) -> str:
    scheme: str = request.param
    return scheme


@contextlib.asynccontextmanager
async def serving(behave: Behaviour, scheme: str, tls: ssl.SSLContext) -> AsyncIterator[tuple[RawServer, str]]:
    async with RawServer(behave, tls=tls if scheme == "https" else None) as server:
        yield server, server.secure_url if scheme == "https" else server.url


async def test_it_takes_what_follows_a_whole_chunk_and_the_connection_is_used_again(
    pool: Pool, tls: ssl.SSLContext, scheme: str
) -> None:
    first, second, third = chunked(b"one\n"), chunked(b"passes\n"), chunked(b"passes, too\n")
    steps = Steps(first, second, third, chunked(b"last") + END)
    async with serving(steps, scheme, tls) as (server, url):
        flow = Flow(await post(pool, url))
        for seen in (
            lambda: flow.taken == [b"one\n"],
            lambda: flow.shortcut.passed == [second],
            lambda: flow.shortcut.passed == [second, third],
            lambda: flow.taken == [b"one\n", b"last", b""],
        ):
            steps.may_go_on.release()
            await soon(seen)
        flow.response.close()
        assert await ask(pool, url) == b"hi"
        assert len(server.peers) == 1


async def test_it_takes_nothing_in_the_middle_of_a_chunk(pool: Pool, tls: ssl.SSLContext, scheme: str) -> None:
    whole = chunked(b"it passes\n")
    steps = Steps(chunked(b"one\n"), whole[:5], whole[5:] + chunked(b"passes\n") + END)
    async with serving(steps, scheme, tls) as (_, url):
        flow = Flow(await post(pool, url))
        for count in (1, 2, 5):
            steps.may_go_on.release()
            await soon(lambda count=count: len(flow.taken) == count)  # type: ignore[misc]
        assert flow.shortcut.passed == []
        assert b"".join(flow.taken) == b"one\nit passes\npasses\n"


async def test_an_answer_that_breaks_off_ends_it(pool: Pool, tls: ssl.SSLContext, scheme: str) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(HEAD + b"\r\n", chunked(b"one\n"))

    async with serving(behave, scheme, tls) as (_, url):
        flow = Flow(await post(pool, url))
        with pytest.raises(ConnectionBroken):
            await flow.end
        assert not flow.shortcut.is_open
        flow.response.close()
