"""A provider's connection without its socket, so that a test decides what is in which read."""

import asyncio
import socket
from typing import Any, cast

from proxy.upstreams.http.connection import Connection
from proxy.upstreams.http.response import Response

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"


class Socket(asyncio.Transport):
    """The provider's end: it says whether it is read from, and whether it was ended."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = socket.socket()  # has a number, and is always silent
        self.reads = True
        self.ended = False

    def write(self, data: Any) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.kernels if name == "socket" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.ended

    def is_reading(self) -> bool:
        return self.reads and not self.ended

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def abort(self) -> None:
        if not self.ended:
            self.ended = True
            asyncio.get_running_loop().call_soon(self.lost, None)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """As uvloop, which keeps the method."""
        self.read = cast(asyncio.Protocol, protocol).data_received

    def lost(self, error: Exception | None) -> None:
        self.kernels.close()
        self.connection.connection_lost(error)

    connection: Connection


class Line:
    """A connection with one request on its way; `retired` tells whether each end left it usable."""

    def __init__(self) -> None:
        self.retired: list[bool] = []
        self.socket = Socket()
        loop = asyncio.get_running_loop()
        self.connection = Connection(loop, lambda _, is_reusable: self.retired.append(is_reusable))
        self.socket.connection = self.connection
        self.socket.set_protocol(self.connection)
        self.connection.connection_made(self.socket)
        self.response = self.ask()
        self.taken: list[bytes] = []

    def ask(self) -> Response:
        return self.connection.send(b"POST / HTTP/1.1\r\n\r\n")

    def say(self, *pieces: bytes, end: bytes = b"") -> None:
        """All of it in one read."""
        self.socket.read(b"".join(map(chunked, pieces)) + end)

    def begin(self, *pieces: bytes, header: bytes = b"", end: bytes = b"") -> None:
        self.socket.read(HEAD + header + b"\r\n" + b"".join(map(chunked, pieces)) + end)

    def take(self, data: bytes) -> bool:
        self.taken.append(data)
        return data == b"enough"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
