"""A server that speaks Redis's wire (RESP2) as a test scripts it."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import hiredis

Said = tuple[bytes, ...]


class HangUp(Exception):
    """Raised by an answer: the connection is closed instead."""


def each_key_holds_its_name(command: Said) -> bytes | None:
    """`GET a` is answered `a`, anything else `OK`."""
    return b"$%d\r\n%b\r\n" % (len(command[1]), command[1]) if command[0] == b"GET" else b"+OK\r\n"


class ScriptedRedis:
    """Answers on `port`, or on a socket file, with what `answer` gives for a command; None is never answered.

    `said` are the commands of each connection. While `held` is not set, answers are held back; `holds` says so.
    """

    def __init__(self, *, file: Path | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.answer: Callable[[Said], bytes | None] = each_key_holds_its_name
        self.said: list[list[Said]] = []
        self.held = asyncio.Event()
        self.held.set()
        self.holds = asyncio.Event()
        self.port = 0
        self._file, self._tls = file, tls
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        if self._file:
            self._server = await asyncio.start_unix_server(self._serve, self._file)
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
            self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self.stop()
        for writer in self._writers:
            with suppress(OSError):
                await writer.wait_closed()

    def stop(self) -> None:
        """Refuse what comes, and break what is open."""
        self._server.close()
        self.break_connections()

    def break_connections(self) -> None:
        for writer in self._writers:
            if not writer.transport.is_closing():  # Python 3.11.2 cannot abort TLS that has ended
                writer.transport.abort()

    def asked(self, name: bytes) -> list[Said]:
        """The commands of this name, on all connections."""
        return [command for commands in self.said for command in commands if command[0] == name]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        said: list[Said] = []
        self.said.append(said)
        parser = hiredis.Reader()
        try:
            while data := await reader.read(1 << 20):
                parser.feed(data)
                while command := parser.gets():
                    said.append(tuple(command))
                    if not self.held.is_set():
                        self.holds.set()
                        await self.held.wait()
                    if (answer := self.answer(tuple(command))) is not None:
                        writer.write(answer)
        except (HangUp, OSError):
            pass
        writer.close()
