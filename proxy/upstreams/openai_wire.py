"""Providers that speak OpenAI's wire: bytes pass through, so that new fields and chunk shapes survive."""

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from proxy.upstreams.base import Answer, Event, PushSource, Take, Target
from proxy.upstreams.failures import MalformedAnswer, from_response
from proxy.upstreams.fast_path import FastPath
from proxy.upstreams.http import Pool, Response
from proxy.upstreams.json_object import json_object
from proxy.upstreams.sse import EventParser

MAX_ANSWER_BYTES = 64 * 1024 * 1024


class OpenAIWire:
    """One pool of connections for all providers of this wire; belongs to the event loop that it was first used in."""

    def __init__(self) -> None:
        self._pool: Pool | None = None

    async def complete(self, target: Target, body: dict[str, Any]) -> Answer:
        """POST {base_url}/chat/completions. Raises UpstreamFailure."""
        return await self._whole(target, "/chat/completions", body)

    async def embed(self, target: Target, body: dict[str, Any]) -> Answer:
        """POST {base_url}/embeddings. Raises UpstreamFailure."""
        return await self._whole(target, "/embeddings", body)

    def stream(self, target: Target, body: dict[str, Any]) -> "WireStream":
        """POST {base_url}/chat/completions with `stream`. Raises UpstreamFailure."""
        options = {**(body.get("stream_options") or {}), "include_usage": True}
        return WireStream(self, target, {**body, "stream": True, "stream_options": options})

    async def close(self) -> None:
        if self._pool:
            await self._pool.close()
            self._pool = None

    async def post(self, target: Target, path: str, body: dict[str, Any]) -> Response:
        """An answer with status 200, whose body is still to come. Raises UpstreamFailure."""
        if self._pool is None:
            self._pool = Pool()
        answer = await self._pool.post(
            target.base_url + path, target.api_key, orjson.dumps(body), connect_timeout_s=target.connect_timeout_s
        )
        if answer.status != 200:
            try:
                raise from_response(answer.status, answer.headers, await _read(answer))
            finally:
                answer.close()
        return answer

    async def _whole(self, target: Target, path: str, body: dict[str, Any]) -> Answer:
        answer = await self.post(target, path, body)
        try:
            raw = await _read(answer)
        finally:
            answer.close()
        return Answer(raw, json_object(raw, "The provider answered with something"))


class WireStream(PushSource):
    """A streamed answer; asks for it when it is first read."""

    def __init__(self, wire: OpenAIWire, target: Target, body: dict[str, Any]) -> None:
        self._ask = wire.post(target, "/chat/completions", body)
        self._answer: Response | None = None
        self._parser = EventParser()

    async def __anext__(self) -> Sequence[Event]:
        while not self.has_ended:
            if self._answer is None:
                self._answer = await self._ask
                _require(self._answer, "text/event-stream")
            data = await self._answer.read()
            if events := self._parse(data):
                return events
        raise StopAsyncIteration

    def flow(self, take: Take, fast_path: FastPath) -> asyncio.Future[None]:
        """Hand over all that is still to come; for a stream that was read from before."""

        parser = self._parser

        def take_bytes(data: bytes) -> bool:
            events = parser.feed(data) if data else parser.end()
            self.has_ended = has_ended = parser.done or not data
            if events:
                take(events)
            fast_path.expect(parser.expected_frame)
            return has_ended

        if self._answer is None:
            raise RuntimeError("Read from the stream first.")
        if self.has_ended:
            return _done()
        return self._answer.flow(take_bytes, fast_path)

    def _parse(self, data: bytes) -> Sequence[Event]:
        """b"" stands for the end."""
        events = self._parser.feed(data) if data else self._parser.end()
        self.has_ended = self._parser.done or not data
        return events

    def hold(self) -> None:
        if self._answer:
            self._answer.hold()

    def go_on(self) -> None:
        if self._answer:
            self._answer.go_on()

    async def aclose(self) -> None:
        """End the call to the provider, unless its answer is whole."""
        self.has_ended = True
        self._ask.close()
        if self._answer and self._parser.done:
            self._answer.finish()
        elif self._answer:
            self._answer.close()


def _done() -> asyncio.Future[None]:
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


async def _read(answer: Response) -> bytes:
    pieces: list[bytes] = []  # called, `list[bytes]` tries to note what it is of, which raises
    size = 0
    while data := await answer.read():
        pieces.append(data)
        size += len(data)
        if size > MAX_ANSWER_BYTES:
            raise MalformedAnswer("The provider answered with more than 64 MB.")
    return b"".join(pieces)


def _require(answer: Response, content_type: str) -> None:
    if answer.content_type != content_type:
        raise MalformedAnswer(f"The provider was asked for a stream and answered with {answer.content_type}.")
