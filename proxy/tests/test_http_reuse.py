"""One connection for many requests, and never an answer for the wrong one; under both event loops."""

import asyncio

import pytest

from proxy.tests.raw_server import OK, Peer, RawServer, always, answers, ask, happens, post, read, soon, until_hung_up
from proxy.upstreams.failures import ConnectionBroken
from proxy.upstreams.http import Pool, connection as connection_module, pool as pool_module
from proxy.upstreams.http.response import MAX_UNREAD_BYTES

pytestmark = pytest.mark.both_loops

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n"
CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
MEGABYTE = 2**20


@pytest.mark.parametrize(
    "answer, body",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\nContent-Encoding: Identity\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"hi"),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 9\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
            b"hi",
        ),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    ],
)
async def test_a_connection_carries_one_request_after_the_other(pool: Pool, answer: bytes, body: bytes) -> None:
    async with RawServer(always(answer)) as server:
        for _ in range(3):
            assert await ask(pool, server.url) == body
        assert len(server.peers) == 1


@pytest.mark.parametrize("answer", [CLOSE, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", CLOSE + b"junk"])
async def test_a_connection_that_the_server_will_not_keep_is_not_used_again(pool: Pool, answer: bytes) -> None:
    async with RawServer(always(answer)) as server:
        assert [await ask(pool, server.url), await ask(pool, server.url)] == [b"hi", b"hi"]
        assert len(server.peers) == 2


SPLIT = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


@pytest.mark.parametrize("extra", [SPLIT, SPLIT[:1], SPLIT[:30], SPLIT[:-1], b"\0"])
@pytest.mark.parametrize("at_once", [True, False])
async def test_what_follows_an_answer_never_answers_the_next_request(
    pool: Pool, extra: bytes, *, at_once: bool
) -> None:
    """Response splitting: the next request may be another tenant's."""

    async def behave(peer: Peer) -> None:
        await peer.request()
        if peer.number == 0:
            await peer.send(*([OK + extra] if at_once else [OK, extra]))
            await until_hung_up(peer)
        await peer.send(OK.replace(b"hi", b"no"))
        await until_hung_up(peer)

    async with RawServer(behave) as server:
        response = await post(pool, server.url)
        await asyncio.sleep(0.02)
        assert await read(response) == b"hi"
        assert await ask(pool, server.url) == b"no"


async def test_an_answer_that_comes_to_an_idle_connection_answers_nobody(pool: Pool) -> None:
    async with RawServer(always(OK)) as server:
        assert await ask(pool, server.url) == b"hi"
        server.peers[0].send_now(SPLIT)
        assert await ask(pool, server.url) == b"hi"
        assert len(server.peers) == 2


async def test_a_connection_that_was_closed_while_idle_is_not_used(pool: Pool) -> None:
    async with RawServer(answers(OK)) as server:
        for number in range(3):
            assert await ask(pool, server.url) == b"hi"
            await happens(server.peers[number].closed)


@pytest.mark.parametrize("first", [OK, CHUNKED, b"HTTP/1.1 204 No Content\r\n\r\n"])
async def test_a_close_that_crosses_our_request_is_a_broken_connection(pool: Pool, first: bytes) -> None:
    async with RawServer(answers(first, b"")) as server:
        await ask(pool, server.url)
        with pytest.raises(ConnectionBroken):
            await ask(pool, server.url)
        assert len(server.peers) == 1


async def test_idle_connections_are_given_up_after_a_while(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "IDLE_CONNECTIONS_S", 0.02)
    async with RawServer(always(OK)) as one, RawServer(always(OK)) as two:
        await ask(pool, one.url)
        await ask(pool, two.url)
        await happens(one.peers[0].hung_up)
        await happens(two.peers[0].hung_up)
        assert not pool._idle


async def test_a_connection_held_back_by_one_reader_serves_the_next(pool: Pool) -> None:
    """The whole answer is here, more than a reader may lag behind by, and nobody reads it."""
    body = b"x" * (MAX_UNREAD_BYTES + 1)
    async with RawServer(
        answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body), OK, OK)
    ) as server:
        response = await post(pool, server.url)
        await soon(lambda: response._is_whole)
        response.close()
        assert await ask(pool, server.url) == b"hi"
        assert len(server.peers) == 1


async def test_an_answer_to_half_a_request_ends_the_connection(pool: Pool) -> None:
    """The server would take the other half for the next request."""

    async def behave(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await asyncio.sleep(3600)

    async with RawServer(behave) as server:
        assert await ask(pool, server.url, bytes(32 * MEGABYTE)) == b"hi"
        assert await ask(pool, server.url) == b"hi"
        assert len(server.peers) == 2


async def test_many_requests_at_once_get_each_its_own_answer(pool: Pool) -> None:
    async def echo(peer: Peer) -> None:
        while True:
            body = (await peer.request()).partition(b"\r\n\r\n")[2]
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)

    async with RawServer(echo) as server:
        for _ in range(3):
            bodies = [b"%d" % number for number in range(100)]
            assert await asyncio.gather(*(ask(pool, server.url, body) for body in bodies)) == bodies
        assert len(server.peers) <= 100


async def test_an_answer_that_has_said_all_that_matters_may_still_end(pool: Pool) -> None:
    async def behave(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(CHUNKED[:-20])
            await ending.wait()
            await peer.send(CHUNKED[-20:])

    ending = asyncio.Event()
    async with RawServer(behave) as server:
        response = await post(pool, server.url)
        response.finish()
        ending.set()
        await soon(lambda: not pool._busy)
        assert await ask(pool, server.url) == b"hello"
        assert len(server.peers) == 1


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_an_answer_that_never_ends_is_not_waited_for(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, *, hangs_up: bool
) -> None:
    monkeypatch.setattr(connection_module, "LAST_WORDS_S", 3600 if hangs_up else 0.01)

    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED[:-20])
        if not hangs_up:
            await until_hung_up(peer)

    async with RawServer(behave) as server:
        (await post(pool, server.url)).finish()
        await soon(lambda: not pool._busy)
        await happens(server.peers[0].closed)
        assert not pool._idle
