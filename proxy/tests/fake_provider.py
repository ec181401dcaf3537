"""A provider to script: speaks OpenAI's wire on a real socket, does what a test tells it, and remembers it."""

import asyncio
import json
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

PATIENCE_S = 10.0

Behaviour = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


@dataclass
class Received:
    """One request as the provider saw it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    hung_up: threading.Event = field(default_factory=threading.Event)


class FakeProvider:
    """`provider.on("one", text("Hi"))` answers model “one”; several behaviours are used in turn, the last one stays."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self._behaviours: dict[str, list[Behaviour]] = defaultdict(list)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.base_url = ""

    def on(self, model: str, *behaviours: Behaviour) -> None:
        self._behaviours[model] = list(behaviours)

    def bodies(self, model: str) -> list[dict[str, Any]]:
        """What was asked of a model, in order."""
        return [request.body for request in self.received if request.body.get("model") == model]

    def __enter__(self) -> Self:
        self._thread.start()
        self.base_url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(5)
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _start(self) -> str:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        # handler_cancellation: a hang-up of the caller cancels the behaviour at once, as it would a real model's work.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}/v1"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        received = Received(request.path, dict(request.headers), body)
        self.received.append(received)
        behaviours = self._behaviours[body["model"]]
        behaviour = behaviours.pop(0) if len(behaviours) > 1 else behaviours[0]
        try:
            return await behaviour(request, body)
        except (asyncio.CancelledError, ConnectionResetError):
            received.hung_up.set()
            raise


def completion(content: str | None = "Hello", **fields: Any) -> dict[str, Any]:
    """A chat.completion as a provider writes it. Fields replace its own; `message` and `choice` add to theirs."""
    message = {"role": "assistant", "content": content, **fields.pop("message", {})}
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "fake-2024",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", **fields.pop("choice", {})}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        **fields,
    }


def chunk(delta: dict[str, Any] | None = None, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chat.completion.chunk."""
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "fake-2024",
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish_reason}],
        **fields,
    }


def chunks(*words: str, usage: tuple[int, int] | None = (7, 3)) -> list[dict[str, Any]]:
    """A whole streamed answer: role, a chunk for each word, finish_reason, usage (prompt and completion tokens)."""
    answer = [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": word}) for word in words),
        chunk({}, "stop"),
    ]
    if usage:
        prompt, completed = usage
        counts = {"prompt_tokens": prompt, "completion_tokens": completed, "total_tokens": prompt + completed}
        answer.append(chunk(choices=[], usage=counts))
    return answer


def text(content: str = "Hello", **fields: Any) -> Behaviour:
    """Answer with a completion."""
    return answer(completion(content, **fields))


def answer(data: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> Behaviour:
    """Answer with this JSON, or with these bytes as they are."""
    body = data if isinstance(data, bytes) else json.dumps(data).encode()

    async def behave(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers=headers, content_type="application/json")

    return behave


def error(status: int, code: str | None = None, message: str = "No.", **headers: str) -> Behaviour:
    """Answer with OpenAI's error object; `retry_after="2"` becomes the header Retry-After."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer(
        {"error": {"message": message, "type": "fake", "param": None, "code": code}}, status=status, headers=fields
    )


def stream(
    events: Iterable[dict[str, Any] | bytes], *, pause_s: float = 0.0, done: bool = True, cut: bool = False
) -> Behaviour:
    """Stream these events (bytes as they are); `done` ends with [DONE], `cut` breaks the connection instead."""

    async def behave(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            data = event if isinstance(event, bytes) else b"data: " + json.dumps(event).encode() + b"\n\n"
            await response.write(data)
            if pause_s:
                await asyncio.sleep(pause_s)
        if cut:
            _break(request)
        elif done:
            await response.write(b"data: [DONE]\n\n")
        return response

    return behave


def then_hang(events: Iterable[dict[str, Any]]) -> Behaviour:
    """Stream these events, then fall silent."""

    async def behave(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for event in events:
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        await asyncio.sleep(3600)
        return response

    return behave


class Gate:
    """Answer as `behaviour` does, but not before `open` is called."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._opened = threading.Event()

    def open(self) -> None:
        self._opened.set()

    async def __call__(self, request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
        await asyncio.to_thread(self._opened.wait, PATIENCE_S)
        return await self._behaviour(request, asked)


async def hang(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
    """Accept the request and never answer."""
    await asyncio.sleep(3600)
    return web.Response()


async def reset(request: web.Request, asked: dict[str, Any]) -> web.StreamResponse:
    """Break the connection before any answer."""
    _break(request)
    await asyncio.sleep(3600)
    return web.Response()


def _break(request: web.Request) -> None:
    if request.transport:
        request.transport.abort()
