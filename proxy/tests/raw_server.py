"""A server that does byte by byte what a test says, in the test's own event loop; and a client that waits no longer."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self

from proxy.upstreams.http import Pool, Response

PATIENCE_S = 10.0
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Peer:
    """One connection as the server sees it. `number` counts them from 0."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer
        self.requests: list[bytes] = []
        self.hung_up = asyncio.Event()
        self.closed = asyncio.Event()

    async def head(self) -> bytes:
        return await self.reader.readuntil(b"\r\n\r\n")

    async def request(self) -> bytes:
        head = await self.head()
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        request = head + await self.reader.readexactly(int(length or 0))
        self.requests.append(request)
        return request

    async def send(self, *pieces: bytes) -> None:
        """Each in a packet of its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            for _ in range(4):  # the client, in the same loop, reads this one first
                await asyncio.sleep(0)

    def send_now(self, data: bytes) -> None:
        """Into the client's socket, while its loop has no turn."""
        os.write(self.writer.get_extra_info("socket").fileno(), data)


Behaviour = Callable[[Peer], Awaitable[None]]


def answers(*scripts: bytes | list[bytes]) -> Behaviour:
    """The n-th request of each connection gets the n-th answer, in pieces where it is a list; then it is closed."""

    async def behave(peer: Peer) -> None:
        for script in scripts:
            await peer.request()
            await peer.send(*([script] if isinstance(script, bytes) else script))

    return behave


def always(answer: bytes) -> Behaviour:
    """Every request gets this answer; the client ends the connection."""

    async def behave(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(answer)

    return behave


class RawServer:
    """Closes a connection when its behaviour returns, and sets `hung_up` when the client does."""

    def __init__(self, behave: Behaviour, *, tls: ssl.SSLContext | None = None) -> None:
        self.peers: list[Peer] = []
        self.port = 0
        self._behave = behave
        self._tls = tls

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def secure_url(self) -> str:
        return f"https://localhost:{self.port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for peer in self.peers:
            peer.writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(len(self.peers), reader, writer)
        self.peers.append(peer)
        try:
            await self._behave(peer)
        except (OSError, asyncio.IncompleteReadError):
            peer.hung_up.set()
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()
        peer.closed.set()


async def until_hung_up(peer: Peer) -> None:
    """A behaviour: read, and answer nothing any more."""
    with contextlib.suppress(OSError):
        while await peer.reader.read(65536):
            pass
    peer.hung_up.set()


@contextlib.asynccontextmanager
async def a_pool() -> AsyncIterator[Pool]:
    """A pool; at its end nothing may have gone wrong where only the loop could see it."""
    unseen: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: unseen.append(context))
    pool = Pool()
    yield pool
    await pool.close()
    for _ in range(4):
        await asyncio.sleep(0)
    assert not unseen


async def post(pool: Pool, url: str, body: bytes = b"{}", *, key: str = "", connect_timeout_s: float = 5.0) -> Response:
    async with asyncio.timeout(PATIENCE_S):
        return await pool.post(url, key, body, connect_timeout_s=connect_timeout_s)


async def read(response: Response) -> bytes:
    """The whole body; closes the answer."""
    body = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while data := await response.read():
                body += data
    finally:
        response.close()
    return body


async def ask(pool: Pool, url: str, body: bytes = b"{}") -> bytes:
    return await read(await post(pool, url, body))


async def happens(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await event.wait()


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for knows of no event
            await asyncio.sleep(0.005)
