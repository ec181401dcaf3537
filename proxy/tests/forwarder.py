"""A TCP forwarder in front of a service, to take the service away and give it back."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any, Self

from proxy.tests.processes import free_port


class Forwarder:
    """Forwards its `port` to a service. `refuse` makes that dead, `hang` makes it mute, `forward` brings it back."""

    def __init__(self, host: str, port: int) -> None:
        self.port = free_port()
        self._target = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._is_mute = False
        self._open: set[asyncio.StreamWriter] = set()

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

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with contextlib.suppress(OSError):
            if self._is_mute:
                await reader.read(-1)
                return
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            self._open.add(far_writer)
            await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
