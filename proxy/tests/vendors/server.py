"""A local server that stands in for a provider: it journals what it is sent and does what the test says."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

from aiohttp import web


class Ending(Enum):
    """How a stream's body ends."""

    CLEAN = "clean"  # as HTTP wants it: the last, empty chunk
    CUT = "cut"  # the connection breaks off in mid-body
    HANG = "hang"  # silence: the connection stays open


@dataclass(frozen=True)
class Received:
    """One request as the provider got it."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(frozen=True)
class Whole:
    """An answer in one piece."""

    body: dict[str, Any]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """An answer in one piece, byte by byte."""

    body: bytes
    status: int = 200


@dataclass(frozen=True)
class Stream:
    """Server-sent events, each written as its own network packet."""

    events: Sequence[bytes]
    ending: Ending = Ending.CLEAN


@dataclass(frozen=True)
class Hang:
    """Takes the request and never answers."""


@dataclass(frozen=True)
class Reset:
    """Takes the request and drops the connection."""


Reply = Whole | Raw | Stream | Hang | Reset


class Vendor:
    """`async with Vendor() as vendor:` listens on a free loopback port.

    `reply` is what every request gets. `received` is the journal; `was_asked` is set with the first entry.
    `disconnected` is set when a client goes away before its answer is complete. Clearing `go` holds back streams before
    their first event until it is set again.
    """

    def __init__(self) -> None:
        self.reply: Reply = Hang()
        self.received: list[Received] = []
        self.was_asked = asyncio.Event()
        self.disconnected = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()
        self.url = ""

    @property
    def request(self) -> Received:
        """The only request so far."""
        (request,) = self.received
        return request

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = json.loads(await request.read() or b"{}")
        self.received.append(Received(request.path, dict(request.query), headers, body))
        self.was_asked.set()
        try:
            return await self._answer(request)
        except (asyncio.CancelledError, ConnectionError):
            self.disconnected.set()
            raise

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        match self.reply:
            case Whole(body, status, headers):
                return web.json_response(body, status=status, headers=headers)
            case Raw(raw, status):
                return web.Response(body=raw, status=status, content_type="application/json")
            case Stream(events, ending):
                return await self._stream(request, events, ending)
            case Hang():
                await asyncio.Event().wait()
            case Reset():
                _abort(request)
                return web.Response()
        raise AssertionError("unreachable")

    async def _stream(self, request: web.Request, events: Sequence[bytes], ending: Ending) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        await self.go.wait()
        for event in events:
            await response.write(event)
            await asyncio.sleep(0)
        if ending is Ending.HANG:
            await asyncio.Event().wait()
        if ending is Ending.CUT:
            _abort(request)
        return response


def _abort(request: web.Request) -> None:
    if request.transport:
        request.transport.abort()
