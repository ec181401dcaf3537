"""The least that a proxy in Python can do: bytes from one socket to another, without a look at what they say.

    python -m benchmarks.speed.bare --port 9001 --upstream 9000

Knows only where requests and answers end, so that connections can be kept; trusts both sides.
"""

import argparse
import asyncio
import re
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
READY = b"GET /ready "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", type=int, required=True)
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.port, arguments.upstream))


async def serve(port: int, upstream: int) -> None:
    pool = Pool(upstream)
    server = await asyncio.get_running_loop().create_server(lambda: Caller(pool), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


class Pool:
    """Connections to the provider that carry nothing."""

    def __init__(self, port: int) -> None:
        self.idle: list[Provider] = []
        self._port = port
        self._connecting: set[asyncio.Task[None]] = set()

    def ask(self, request: bytes, caller: "Caller") -> None:
        if self.idle:
            self.idle.pop().ask(request, caller)
        else:
            connecting = asyncio.ensure_future(self._connect(request, caller))
            self._connecting.add(connecting)
            connecting.add_done_callback(self._connecting.discard)

    async def _connect(self, request: bytes, caller: "Caller") -> None:
        loop = asyncio.get_running_loop()
        _, provider = await loop.create_connection(lambda: Provider(self), "127.0.0.1", self._port)
        provider.ask(request, caller)


class Provider(asyncio.Protocol):
    """Carries one request at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def ask(self, request: bytes, caller: "Caller") -> None:
        self._write = caller.transport.write
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._write(data)
        if data.endswith(b"\r\n0\r\n\r\n") or (data.startswith(b"HTTP/1.1") and _is_whole(data)):
            self._pool.idle.append(self)


class Caller(asyncio.Protocol):
    """Asks for one answer after the other."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._request = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._request += data
        if _is_whole(self._request):
            request, self._request = self._request, b""
            if request.startswith(READY):
                self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            else:
                self._pool.ask(request, self)


def _is_whole(message: bytes) -> bool:
    """Whether a message of HTTP is here whose length is told by its head, or that has only a head."""
    head, end, body = message.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    is_chunked = b"chunked" in head.lower()
    return bool(end) and not is_chunked and len(body) >= (int(length[1]) if length else 0)


if __name__ == "__main__":
    main()
