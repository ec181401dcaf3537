"""A TCP forwarder in front of a service, to take the service away and give it back."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from typing import Any, Self
from urllib.parse import urlsplit

from benchmarks.exactness.stage import free_port


class Forwarder:
    """Forwards its `port` to a service, until that is taken away in one of four ways; `forward` brings it back.

    refuse      what is open breaks, what comes is refused: a process that died
    hang        what is open breaks, what comes is taken and never answered: a process that hangs behind a balancer
    freeze      what is open stays, and nobody answers anything: a process that was stopped (SIGSTOP)
    black_hole  what is open stays, no byte arrives, and what comes gets no answer to its SYN: a network that is gone
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = free_port()
        self._target = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._is_mute = False
        self._open: set[asyncio.StreamWriter] = set()
        self._hole: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self.forward()
        return self

    def __exit__(self, *error: object) -> None:
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def forward(self) -> None:
        self._run(self._listen(is_mute=False))

    def hang(self) -> None:
        """Take connections and bytes, and never answer."""
        self._run(self._listen(is_mute=True))

    def refuse(self) -> None:
        """Break what is open, and refuse what comes."""
        self._run(self._close())

    def freeze(self) -> None:
        """Leave everything open, and answer nothing."""
        self._is_mute = True

    def black_hole(self) -> None:
        """Lose every packet, those that would open a connection, too."""
        self._run(self._dig())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    async def _listen(self, *, is_mute: bool) -> None:
        await self._close()
        self._is_mute = is_mute
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _close(self) -> None:
        if self._server:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()
        while self._hole:
            self._hole.pop().close()

    async def _dig(self) -> None:
        """A socket that listens, accepts nobody and has no room left: the kernel drops what knocks."""
        self._is_mute = True
        if self._server:
            self._server.close()
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        listening.listen(0)
        self._hole.append(listening)
        for _ in range(3):
            knocking = socket.socket()
            knocking.setblocking(False)
            knocking.connect_ex(("127.0.0.1", self.port))
            self._hole.append(knocking)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(OSError):
            if self._is_mute:
                await reader.read(-1)
                return
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            self._open.add(far_writer)
            await asyncio.gather(self._pipe(reader, far_writer), self._pipe(far_reader, writer))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self._is_mute:
                    writer.write(data)
                    await writer.drain()
        writer.close()


def forwarder_to(url: str, usual_port: int) -> Forwarder:
    address = urlsplit(url)
    return Forwarder(address.hostname or "", address.port or usual_port)


def through(url: str, forwarder: Forwarder) -> str:
    """The URL with the forwarder in the service's place."""
    address = urlsplit(url)
    login, at, _ = address.netloc.rpartition("@")
    return address._replace(netloc=f"{login}{at}127.0.0.1:{forwarder.port}").geturl()
