"""Both ends of a stream without their sockets, so that a test decides what arrives in which turn of the event loop."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from httptools import HttpResponseParser
from uvicorn.protocols.http.flow_control import FlowControl

from proxy.http.asgi import Send
from proxy.http.exchange import Exchange
from proxy.http.handler import _send_live
from proxy.http.response import LiveResponse
from proxy.http.stream import EventStream
from proxy.meter import Meter
from proxy.silence import LOOKS
from proxy.stream import Stream
from proxy.tests.fake_provider import chunk
from proxy.tests.provider_line import Line
from proxy.upstreams.base import Event, PushSource, Take, Target
from proxy.upstreams.fast_path import FastPath
from proxy.upstreams.http.connection import Connection
from proxy.upstreams.http.response import Response, Shortcut
from proxy.upstreams.openai_wire import OpenAIWire, WireStream


def event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def said(content: str) -> bytes:
    return event(chunk({"content": content}))


STOP = event(chunk({}, "stop"))


async def turns() -> None:
    """A few turns of the event loop."""
    for _ in range(10):
        await asyncio.sleep(0)


class Looks:
    """Stands for the event loop's clock: time passes by looks of a watch whose period is `period_s`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, period_s: float) -> None:
        self._now = 1000.0
        self._pause_s = period_s / LOOKS
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self._now)

    async def pass_by(self, count: int) -> None:
        for _ in range(count):
            self._now += self._pause_s
            await turns()


class Provider:
    """Speaks OpenAI's wire without a socket: `say` is one read of the gateway."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.response = Response(cast(Connection, self))
        self.response.headers["content-type"] = "text/event-stream"
        self.is_left = False

    async def post(self, *_: object) -> Response:
        """What the wire asks for."""
        return self.response

    def say(self, *events: bytes) -> None:
        self.response.add(b"".join(events))

    def end(self) -> None:
        self.response.end()

    # What a response asks of its connection.

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def carries(self, response: Response) -> bool:
        return not self.is_left

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def divert(self, shortcut: Shortcut) -> None:
        """Without the framing of HTTP, there is none to take."""

    def leave(self, response: Response) -> None:
        self.is_left = True

    leave_at_end = leave


class ChunkingProvider(Line):
    """The same with the framing of HTTP."""

    def __init__(self) -> None:
        super().__init__()
        self.begin()

    async def post(self, *_: object) -> Response:
        return self.response

    def read(self, *reads: bytes) -> None:
        """What the gateway reads, each in the same turn of the event loop."""
        for data in reads:
            if self.connection.is_open:
                self.socket.read(data)


class Pulled:
    """A source that only can be iterated, as litellm's."""

    def __init__(self, *events: bytes) -> None:
        self.events = list(events)
        self.asked = 0

    async def __call__(self) -> AsyncIterator[Sequence[Event]]:
        for raw in self.events:
            self.asked += 1
            yield [Event(raw, json.loads(raw[6:]))]


class Caller:
    """Reads only while `reads` is set; `fails` like a server whose connection is gone."""

    def __init__(self) -> None:
        self.received = b""
        self.reads = asyncio.Event()
        self.reads.set()
        self.fails = False
        self.finished: list[BaseException | None] = []
        self.checkpoints: list[int] = []
        self.transcript: Any = None

    async def write(self, data: bytes) -> None:
        await self.reads.wait()
        if self.fails:
            raise ConnectionResetError
        self.received += data

    def follow(self, stream: Stream) -> "asyncio.Task[None]":
        return asyncio.ensure_future(self.read(self.response(stream)))

    async def read(self, response: LiveResponse) -> None:
        await self.write(await response.pump(self.write))

    def response(self, stream: Stream) -> EventStream:
        attempt = SimpleNamespace(end=lambda failure: None, public=dict)
        call: Any = SimpleNamespace(
            headers=dict, transcript=self.transcript, request_id="req_1", served_by=None, attempts=[attempt]
        )
        gateway: Any = SimpleNamespace(
            finish=lambda _, error: self.finished.append(error),
            checkpoint=lambda _: self.checkpoints.append(len(stream.meter.delivered)),
        )
        return EventStream(gateway, call, stream, usage_chunk=False)


class ChunkReadingCaller(Caller):
    """On a connection of our own server. `stops` and `goes_on` say whether the server may write."""

    def __init__(self, *, takes_chunks: bool = True) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.passed: list[bytes] = []
        self._takes_chunks = takes_chunks
        self._flow = FlowControl(cast(asyncio.Transport, self))
        scope: Any = {"type": "http", "method": "POST"}
        self.exchange = Exchange(
            scope, cast(asyncio.Transport, SimpleNamespace(write=self.written.append, close=lambda: None)),
            self._flow, [], lambda: None, keep_alive=True, expect_100_continue=False,
        )  # fmt: skip
        self.goes_on = self._flow.resume_writing

    def stops(self) -> None:
        """As the server's connection hears of it."""
        self._flow.pause_writing()
        self.exchange.stop_chunks()

    def follow(self, stream: Stream) -> "asyncio.Task[None]":
        self.response_to = response = self.response(stream)
        return asyncio.ensure_future(_send_live(response, cast(Send, self.exchange.send), cast(Any, self)))

    @property
    def send(self) -> Any:
        return self.exchange.send

    @property
    def response_started(self) -> bool:
        return self.exchange.response_started

    @property
    def waits_for_caller(self) -> bool:
        return self.exchange.waits_for_caller

    def announce(self, status: int, headers: Mapping[str, tuple[str, str]]) -> None:
        self.exchange.announce(status, headers)

    def write_at_once(self, data: bytes) -> bool:
        return self.exchange.write_at_once(data)

    def end_at_once(self, data: bytes) -> bool:
        return self.exchange.end_at_once(data)

    def chunk_writer(self, stop: Callable[[], None]) -> asyncio.WriteTransport | None:
        passes = self._takes_chunks and self.exchange.chunk_writer(stop)
        return cast(asyncio.WriteTransport, SimpleNamespace(write=self._pass)) if passes else None

    def _pass(self, chunk: bytes) -> None:
        self.passed.append(chunk)
        self.written.append(chunk)

    @property
    def body(self) -> bytes:
        """Without its framing, which must be sound."""
        body: list[bytes] = []
        HttpResponseParser(SimpleNamespace(on_body=body.append)).feed_data(b"".join(self.written))
        return b"".join(body)


async def wire_stream(provider: "Provider | ChunkingProvider", *head: bytes, stall_s: float = 60.0) -> Stream:
    """One whose first read was this."""
    source = WireStream(cast(OpenAIWire, provider), cast(Target, None), {})
    provider.say(*head)
    meter = Meter()
    first = list(await anext(source))
    meter.feed(first)
    return Stream(source, meter, first, stall_s)


def pull_stream(source: Pulled) -> Stream:
    return Stream(source(), Meter(), [], 60.0)


class Silent(PushSource):
    """A provider who never says anything."""

    async def __anext__(self) -> Sequence[Event]:
        raise StopAsyncIteration

    def flow(self, take: Take, fast_path: FastPath) -> "asyncio.Future[None]":
        return asyncio.get_running_loop().create_future()

    def hold(self) -> None:
        pass

    def go_on(self) -> None:
        pass
