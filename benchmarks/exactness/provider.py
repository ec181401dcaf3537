"""A provider that speaks OpenAI's wire, does what each request's `script` says, and keeps a journal of it.

    python -m benchmarks.exactness.provider --port 9000

A request carries `"script": {"id": "r000001", "prompt_tokens": 300, "completion_tokens": 20, "pause_s": 0.001,
"failing": 0.1}`: what to report, how long to wait (before a whole answer, and before each word of a stream), and how
likely this call fails. Beside it: GET /journal (what was served, a JSON list), POST /gate/closed and /gate/open (hold
all answers, let them go), GET /waiting (how many the gate holds).
"""

import argparse
import asyncio
import itertools
import json
import random
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from aiohttp import web

# The order of these fields of a request tells whose it is: it changes nothing for the gateway, which sees one request.
MARKS = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
FAILURES = ("500", "503", "429", "reset", "cut")


@dataclass
class Served:
    """One call. `outcome`: served, failed, cut or abandoned; tokens as reported to the gateway; `words` written."""

    id: str
    streamed: bool
    outcome: str = "abandoned"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    words: int = 0


@dataclass
class Provider:
    """The journal, and the gate that all answers pass."""

    journal: list[Served] = field(default_factory=list)
    waiting: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        script = body.get("script") or {}
        served = Served(script.get("id", ""), bool(body.get("stream")))
        self.journal.append(served)
        await self._pass_gate()
        failure = random.choice(FAILURES) if random.random() < script.get("failing", 0) else ""
        if served.streamed:
            return await self._stream(request, body, script, served, failure)
        await asyncio.sleep(script.get("pause_s", 0))
        if failure:
            return await _fail(request, served, failure)
        answer = _completion(body, script)
        served.outcome = "served"
        _note_usage(served, answer["usage"])
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    async def _stream(
        self, request: web.Request, body: dict[str, Any], script: dict[str, Any], served: Served, failure: str
    ) -> web.StreamResponse:
        if failure and failure != "cut":
            return await _fail(request, served, failure)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        words = int(script.get("completion_tokens", 1))
        ends_after = random.randrange(words) if failure else words
        await response.write(_event(_chunk({"role": "assistant", "content": ""})))
        for number in range(ends_after):
            await asyncio.sleep(script.get("pause_s", 0))
            word = " word" if number else _content(body, script)
            await response.write(_event(_chunk({"content": word})))
            served.words += 1
        if failure:
            served.outcome = "cut"
            _break(request)
            return response
        usage = _usage(script)
        await response.write(_event(_chunk({}, "stop")))
        await response.write(_event({**_chunk(), "choices": [], "usage": usage}) + b"data: [DONE]\n\n")
        served.outcome = "served"
        _note_usage(served, usage)
        return response

    async def _pass_gate(self) -> None:
        self.waiting += 1
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1


def mark_of(body: dict[str, Any]) -> int:
    """Which of the orders of MARKS the body's fields have: 0 to 23."""
    order = tuple(name for name in body if name in MARKS)
    return ORDERS.index(order) if order in ORDERS else 0


ORDERS = list(itertools.permutations(MARKS))


def _content(body: dict[str, Any], script: dict[str, Any]) -> str:
    """What the answer begins with: whose request it was, and a word of the request itself."""
    return f"canary-{mark_of(body)} {script.get('id', '')}"


def _usage(script: dict[str, Any]) -> dict[str, int]:
    prompt, completion = int(script.get("prompt_tokens", 1)), int(script.get("completion_tokens", 1))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _note_usage(served: Served, usage: dict[str, int]) -> None:
    served.prompt_tokens, served.completion_tokens = usage["prompt_tokens"], usage["completion_tokens"]


def _completion(body: dict[str, Any], script: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": _content(body, script)}
    return {
        "id": "chatcmpl-exactness",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": _usage(script),
    }


def _chunk(delta: dict[str, Any] | None = None, finish_reason: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-exactness",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "exactness",
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish_reason}],
    }


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"


async def _fail(request: web.Request, served: Served, failure: str) -> web.StreamResponse:
    served.outcome = "failed"
    if failure in {"reset", "cut"}:
        _break(request)
        return web.Response()
    error = {"error": {"message": "Scripted.", "type": "scripted", "param": None, "code": "scripted"}}
    return web.json_response(error, status=int(failure))


def _break(request: web.Request) -> None:
    if request.transport:
        request.transport.abort()


def application() -> web.Application:
    provider = Provider()
    provider.gate.set()

    async def journal(request: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps([asdict(served) for served in provider.journal]))

    async def waiting(request: web.Request) -> web.Response:
        return web.Response(text=json.dumps(provider.waiting))

    async def move_gate(request: web.Request) -> web.Response:
        (provider.gate.clear if request.match_info["state"] == "closed" else provider.gate.set)()
        return web.Response()

    app = web.Application(client_max_size=2**20)
    app.router.add_post("/v1/chat/completions", provider.complete)
    app.router.add_get("/journal", journal)
    app.router.add_get("/waiting", waiting)
    app.router.add_post("/gate/{state:closed|open}", move_gate)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    # A hang-up of the gateway ends the call at once, as it would a real model's work.
    web.run_app(
        application(),
        host="127.0.0.1",
        port=parser.parse_args().port,
        handler_cancellation=True,
        access_log=None,
        print=lambda *_: None,
        backlog=4096,
    )


if __name__ == "__main__":
    main()
