"""The web server of one process: uvicorn's, in the event loop's own thread, with its limits set and an orderly stop."""

import asyncio
import functools
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, cast

import uvicorn

from proxy.http.connection import Connection

BACKLOG = 4096
IDLE_TIMEOUT_S = 75
STOP_PATIENCE_S = 15.0
# How often the date in the headers is set, and looked whether a caller takes too long, or the parent process is gone.
TICK_S = 1.0
# For what was ended to give back what it holds.
END_PATIENCE_S = 1.0

logger = logging.getLogger(__name__)


def configuration(app: str | Callable[..., Any]) -> uvicorn.Config:
    """`app`: an ASGI application, or where it is, as in "package.module:name"."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=Connection,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_TIMEOUT_S,
    )


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket on an address, to listen with; `shared`: among processes, and the kernel spreads the connections.

    Raises OSError.
    """
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
        0
    ]
    listener = socket.socket(family, kind, proto)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


class Server(uvicorn.Server):
    """Serves until SIGTERM or SIGINT, or the end of the process that it was forked from.

    Answers under way may end within `stop_patience_s`; then their callers are hung up on, and everything is settled. A
    second SIGINT ends that patience at once.
    """

    def __init__(
        self, config: uvicorn.Config, *, parent: int | None = None, stop_patience_s: float = STOP_PATIENCE_S
    ) -> None:
        super().__init__(config)
        self._parent = parent
        self._stop_patience_s = stop_patience_s
        self._was_interrupted = False
        self._wake: Callable[[], object] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Unlike uvicorn's, which raises the signal once more at the end: a stop that was asked for is no failure."""
        if sig == signal.SIGINT:
            self.force_exit, self._was_interrupted = self._was_interrupted, True
        self.should_exit = True
        if self._wake:
            self._wake()

    async def main_loop(self) -> None:
        """As uvicorn's, which looks ten times a second whether it was told to stop. A signal ends the wait here."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        self._wake = functools.partial(loop.call_soon_threadsafe, woken.set)
        while not await self.on_tick(0):
            timer = loop.call_later(TICK_S, woken.set)
            await woken.wait()
            woken.clear()
            timer.cancel()

    async def on_tick(self, counter: int) -> bool:
        is_orphan = self._parent is not None and os.getppid() != self._parent
        loop = asyncio.get_running_loop()
        for connection in self.server_state.connections:
            loop.call_soon(cast(Connection, connection).look, loop.time())  # each by itself: one may fail
        return await super().on_tick(counter) or is_orphan

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._wait(self._stop_patience_s)
        if self.server_state.tasks:
            logger.warning("Ending %d answers that are still under way.", len(self.server_state.tasks))
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await self._wait(END_PATIENCE_S)
        for task in self.server_state.tasks:
            task.cancel()
        await self.lifespan.shutdown()

    async def _wait(self, patience_s: float) -> None:
        """Until there is neither connection nor answer any more, or the patience ends."""
        deadline = asyncio.get_running_loop().time() + patience_s
        state = self.server_state
        while (state.connections or state.tasks) and not self.force_exit:
            if asyncio.get_running_loop().time() >= deadline:
                return
            await asyncio.sleep(0.02)


def leave() -> NoReturn:
    """End this process, in which everything is settled.

    Python itself would first wait for its threads, and one of them may wait for a database that does not answer.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
