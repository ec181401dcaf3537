"""HTTP byte by byte, for what no client library would send; and what every refusal has in common."""

import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import httpx

PATIENCE_S = 10.0


@dataclass
class Reply:
    """An answer as it came. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """What stands under "error" in the contract's envelope."""
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


def head(method: str, path: str, headers: Mapping[str, str | bytes]) -> bytes:
    """A request up to its body. `Host` and what the headers say; nothing is added, checked or quoted."""
    lines = [f"{method} {path} HTTP/1.1".encode("latin-1"), b"Host: localhost"]
    for name, value in headers.items():
        lines.append(name.encode("latin-1") + b": " + (value if isinstance(value, bytes) else value.encode("latin-1")))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname or "", address.port or 0), PATIENCE_S)


def read(connection: socket.socket, method: str = "POST") -> Reply:
    """The next answer on a connection."""
    answer = HTTPResponse(connection, method=method)
    answer.begin()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return Reply(answer.status, headers, answer.read())


def send(url: str, *data: bytes, method: str = "POST") -> Reply:
    """Send bytes as they are on a connection of their own, and read the answer."""
    with connect(url) as connection:
        for piece in data:
            connection.sendall(piece)
        return read(connection, method)


def chunked(*pieces: bytes) -> Iterable[bytes]:
    """A body in chunks (RFC 9112, 7.1)."""
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def assert_refused(
    reply: Reply | httpx.Response, status: int, kind: str, code: str, param: str | None = None
) -> dict[str, Any]:
    """The contract's envelope and headers, with one request id and nothing of our insides; returns the error."""
    content = reply.body if isinstance(reply, Reply) else reply.content
    got = reply.status if isinstance(reply, Reply) else reply.status_code
    assert got == status, content
    assert reply.headers["content-type"] == "application/json"
    error: dict[str, Any] = json.loads(content)["error"]
    assert (error["type"], error["code"], error["param"]) == (kind, code, param)
    assert error.keys() - {"attempts"} == {"message", "type", "param", "code", "request_id"}
    assert error["request_id"].startswith("req_")
    assert error["request_id"] == reply.headers["x-request-id"]
    assert {"x-gateway-attempts", "x-gateway-cache", "x-gateway-overhead-ms"} <= reply.headers.keys()
    assert error["message"].endswith((".", ")"))
    assert "Traceback" not in content.decode()
    return error
