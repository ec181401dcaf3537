"""Answers as they come over real sockets, and how readers take them; under both event loops."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from proxy.tests.raw_server import (
    OK,
    PATIENCE_S,
    Peer,
    RawServer,
    always,
    answers,
    ask,
    happens,
    post,
    read,
    soon,
    until_hung_up,
)
from proxy.upstreams.failures import ConnectionBroken, MalformedAnswer
from proxy.upstreams.http import Pool
from proxy.upstreams.http.response import MAX_UNREAD_BYTES

pytestmark = pytest.mark.both_loops

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
TO_THE_END = b"HTTP/1.1 200 OK\r\n\r\nhello"
MEGABYTE = 2**20


@pytest.mark.parametrize("answer", [LENGTH, CHUNKED, TO_THE_END, TO_THE_END.replace(b"1.1", b"1.0")])
async def test_an_answer_may_be_cut_anywhere(pool: Pool, answer: bytes) -> None:
    for at in range(1, len(answer)):
        async with RawServer(answers([answer[:at], answer[at:]])) as server:
            assert await ask(pool, server.url) == b"hello"


@pytest.mark.parametrize("answer", [LENGTH, CHUNKED])
async def test_an_answer_that_ends_too_early_is_never_taken_for_a_whole_one(pool: Pool, answer: bytes) -> None:
    for at in range(len(answer)):
        async with RawServer(answers(answer[:at])) as server:
            with pytest.raises(ConnectionBroken):
                await ask(pool, server.url)


async def test_headers_have_lower_case_names_and_hints_and_trailers_are_none(pool: Pool) -> None:
    async with RawServer(
        answers(b"HTTP/1.1 103 X\r\nA: hint\r\n\r\n" + CHUNKED.replace(b"\r\n\r\n2", b"\r\nB: C\r\n\r\n2"))
    ) as server:
        response = await post(pool, server.url)
        assert await read(response) == b"hello"
    assert response.headers == {"transfer-encoding": "chunked", "b": "C"}


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MEGABYTE,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 40_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: " + b"x" * MEGABYTE,
    ],
    ids=lambda answer: answer[:60].decode(),
)
async def test_what_is_no_proper_answer_is_malformed(pool: Pool, answer: bytes) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        await until_hung_up(peer)

    async with RawServer(behave) as server:
        with pytest.raises(MalformedAnswer):
            await ask(pool, server.url)
        await happens(server.peers[0].hung_up)


async def test_a_reader_who_leaves_ends_the_connection_at_once(pool: Pool) -> None:
    async def behave(peer: Peer) -> None:
        await peer.request()
        await peer.send(LENGTH[:-1])
        await until_hung_up(peer)

    async with RawServer(behave) as server:
        response = await post(pool, server.url)
        assert await response.read() == b"hell"
        response.close()
        response.close()
        await happens(server.peers[0].hung_up)
        with pytest.raises(ConnectionBroken):
            await read(response)
        (await post(pool, server.url)).close()
        assert len(server.peers) == 2


async def test_a_caller_who_is_cancelled_while_waiting_ends_the_connection(pool: Pool) -> None:
    async with RawServer(until_hung_up) as server:
        asking = asyncio.create_task(post(pool, server.url))
        await soon(lambda: bool(server.peers))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await happens(server.peers[0].hung_up)


async def test_a_failed_answer_gives_what_had_come_and_fails_again_and_again(pool: Pool) -> None:
    async with RawServer(answers(LENGTH[:-1])) as server:
        response = await post(pool, server.url)
        assert await response.read() == b"hell"
        for _ in range(2):
            with pytest.raises(ConnectionBroken):
                await response.read()
        response.close()


async def test_a_slow_reader_holds_the_server_back_and_loses_nothing(pool: Pool) -> None:
    body = bytes(range(256)) * 64 * 1024
    async with RawServer(always(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))) as server:
        response = await post(pool, server.url)
        await soon(lambda: response._unread_bytes > MAX_UNREAD_BYTES)
        await asyncio.sleep(0.05)
        assert response._unread_bytes <= 2 * MAX_UNREAD_BYTES + 1024
        assert await read(response) == body
        assert await ask(pool, server.url) == body
        assert len(server.peers) == 1


async def test_a_large_request_reaches_a_slow_server_whole(pool: Pool) -> None:
    body = bytes(range(256)) * 16 * 1024

    async def behave(peer: Peer) -> None:
        await asyncio.sleep(0.05)
        await peer.request()
        await peer.send(OK)

    async with RawServer(behave) as server:
        assert await ask(pool, server.url, body) == b"hi"
        assert server.peers[0].requests[0].endswith(b"\r\n\r\n" + body)


async def test_a_server_that_neither_reads_nor_answers_any_more_is_not_waited_for(pool: Pool) -> None:
    async def behave(peer: Peer) -> None:
        await peer.head()
        peer.writer.write_eof()
        await asyncio.sleep(3600)

    async with RawServer(behave) as server:
        with pytest.raises(ConnectionBroken):
            await ask(pool, server.url, bytes(32 * MEGABYTE))


async def test_a_server_that_speaks_first_or_hangs_up_first_is_not_waited_for(pool: Pool) -> None:
    async def hang_up(peer: Peer) -> None:
        peer.writer.transport.abort()

    async def speak(peer: Peer) -> None:
        await peer.send(OK)

    for behave in (hang_up, speak):
        async with RawServer(behave) as server:
            for _ in range(20):
                with contextlib.suppress(ConnectionBroken):
                    await ask(pool, server.url)


def a_taker() -> tuple[list[bytes], Callable[[bytes], bool]]:
    """What it was handed, and what takes all there is."""
    taken: list[bytes] = []

    def keep(data: bytes) -> bool:
        taken.append(data)
        return False

    return taken, keep


@pytest.mark.parametrize("waits", [False, True])
async def test_a_body_flows_to_its_end_whenever_it_is_asked_to(pool: Pool, *, waits: bool) -> None:
    async with RawServer(answers([LENGTH[:-2], LENGTH[-2:]])) as server:
        response = await post(pool, server.url)
        if waits:
            await soon(lambda: response._is_whole)
        taken, keep = a_taker()
        async with asyncio.timeout(PATIENCE_S):
            await response.flow(keep)
        response.close()
        assert b"".join(taken) == b"hello"
        assert taken[-1] == b""


@pytest.mark.parametrize("waits", [False, True])
async def test_a_body_that_breaks_off_while_it_flows(pool: Pool, *, waits: bool) -> None:
    async with RawServer(answers(LENGTH[:-1])) as server:
        response = await post(pool, server.url)
        if waits:
            await happens(server.peers[0].closed)
            await soon(lambda: response._failure is not None)
        taken, keep = a_taker()
        with pytest.raises(ConnectionBroken):
            async with asyncio.timeout(PATIENCE_S):
                await response.flow(keep)
        response.close()
        assert b"".join(taken) == b"hell"
