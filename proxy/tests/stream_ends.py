"""Both ends of a stream without their sockets, so that a test decides what arrives in which turn of the event loop."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

from proxy.http.stream import EventStream
from proxy.meter import Meter
from proxy.stream import Stream
from proxy.tests.fake_provider import chunk
from proxy.upstreams.base import Event, PushSource, Take, Target
from proxy.upstreams.fast_path import FastPath
from proxy.upstreams.http.connection import Connection
from proxy.upstreams.http.response import Response
from proxy.upstreams.openai_wire import OpenAIWire, WireStream


def event(data: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def said(content: str) -> bytes:
    return event(chunk({"content": content}))


STOP = event(chunk({}, "stop"))


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

    def leave(self, response: Response) -> None:
        self.is_left = True

    leave_at_end = leave


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

    async def write(self, data: bytes) -> None:
        await self.reads.wait()
        if self.fails:
            raise ConnectionResetError
        self.received += data

    def follow(self, stream: Stream) -> "asyncio.Task[None]":
        return asyncio.ensure_future(self.response(stream).pump(self.write))

    def response(self, stream: Stream) -> EventStream:
        attempt = SimpleNamespace(end=lambda failure: None, public=dict)
        call: Any = SimpleNamespace(
            headers=dict, transcript=None, request_id="req_1", served_by=None, attempts=[attempt]
        )
        gateway: Any = SimpleNamespace(finish=lambda _, error: self.finished.append(error), checkpoint=lambda _: None)
        return EventStream(gateway, call, stream, usage_chunk=False)


async def wire_stream(provider: Provider, *head: bytes, stall_s: float = 60.0) -> Stream:
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
