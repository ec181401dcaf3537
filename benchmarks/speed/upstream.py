"""A provider that is never the bottleneck: a bare asyncio protocol on uvloop, with answers that were made beforehand.

    python -m benchmarks.speed.upstream --port 9000

POST …/chat/completions    OpenAI's wire; "paced" anywhere in the body: a word every 20 ms, else all at once
POST …/messages            Anthropic's wire, the same
POST /down/…               503 at once

A stream says WORDS words, the first one at once.
"""

import argparse
import asyncio
import json
import re
import time
from collections import defaultdict
from typing import Any, cast

import uvloop

WORDS = 100
PACE_MS = 20
TEXT = "".join(f" w{number:03d}" for number in range(WORDS))
SHORT_TEXT = " w000 w001 w002 w003"

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAMED = re.compile(rb'"stream": *true')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))


async def serve(port: int) -> None:
    clock = Clock()
    server = await asyncio.get_running_loop().create_server(lambda: Provider(clock), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


class Clock:
    """Wakes many streams with one timer a millisecond."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._due: defaultdict[int, list[Stream]] = defaultdict(list)
        self._waiting = 0
        self._next_ms = 0
        self._ticking = False

    def wake(self, stream: "Stream", at_ms: int) -> None:
        at_ms = max(at_ms, self._next_ms)
        self._due[at_ms].append(stream)
        self._waiting += 1
        if not self._ticking:
            self._ticking, self._next_ms = True, at_ms
            self._loop.call_later(0.001, self._tick)

    def _tick(self) -> None:
        now = now_ms()
        while self._next_ms <= now:
            for stream in self._due.pop(self._next_ms, ()):
                self._waiting -= 1
                stream.go_on(self._next_ms)
            self._next_ms += 1
        self._ticking = self._waiting > 0
        if self._ticking:
            self._loop.call_later(0.001, self._tick)


def now_ms() -> int:
    return int(time.monotonic() * 1000)


class Stream:
    """One answer on its way, a piece at a time."""

    def __init__(self, transport: asyncio.WriteTransport, pieces: list[bytes], clock: Clock) -> None:
        self._transport, self._pieces, self._clock = transport, pieces, clock
        self._next = 0
        self.go_on(now_ms())

    def go_on(self, at_ms: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(self._pieces[self._next])
        self._next += 1
        if self._next < len(self._pieces):
            self._clock.wake(self, at_ms + PACE_MS)


class Provider(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, after = self._buffer[:end], end + 4
            length = _LENGTH.search(head)
            if length:
                ends = after + int(length[1])
                if len(self._buffer) < ends:
                    return
            else:  # chunked, or no body at all
                closing = self._buffer.find(b"0\r\n\r\n", after) if b"chunked" in head.lower() else after - 5
                if closing < 0:
                    return
                ends = closing + 5
            body, self._buffer = self._buffer[after:ends], self._buffer[ends:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1]
        if path.startswith(b"/down"):
            self._transport.write(DOWN)
            return
        wire = ANTHROPIC if path.endswith(b"/messages") else OPENAI
        if not _STREAMED.search(body):
            self._transport.write(wire["whole"])
        elif b"paced" in body:
            Stream(self._transport, wire["stream"], self._clock)
        else:
            self._transport.write(b"".join(wire["stream"]))


def response(status: str, content: dict[str, Any]) -> bytes:
    body = json.dumps(content).encode()
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(events: list[bytes]) -> list[bytes]:
    """The events as pieces of one response, each to be written by itself; the last with the end."""
    pieces = [f"{len(event):x}\r\n".encode() + event + b"\r\n" for event in events]
    start = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [start + pieces[0], *pieces[1:-1], pieces[-1] + b"0\r\n\r\n"]


def openai_stream() -> list[bytes]:
    def chunk(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**CHUNK, "choices": [choice]}

    first, *words = TEXT.split(" ")[1:]
    said = [chunk({"role": "assistant", "content": f" {first}"}), *(chunk({"content": f" {word}"}) for word in words)]
    events = [b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n" for data in said]
    usage = {**CHUNK, "choices": [], "usage": OPENAI_USAGE}
    end = [json.dumps(data, separators=(",", ":")).encode() for data in (chunk({}, "stop"), usage)]
    events[-1] += b"".join(b"data: " + data + b"\n\n" for data in [*end, b"[DONE]"])
    return events


def anthropic_stream() -> list[bytes]:
    def event(name: str, **fields: Any) -> bytes:
        return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()

    words = [
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": f" {word}"})
        for word in TEXT.split(" ")[1:]
    ]
    message = {**MESSAGE, "content": [], "stop_reason": None}
    start = event("message_start", message=message)
    block = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    words[0] = start + block + words[0]
    words[-1] += (
        event("content_block_stop", index=0)
        + event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=ANTHROPIC_USAGE)
        + event("message_stop")
    )
    return words


CHUNK = {
    "id": "chatcmpl-bench0123456789",
    "object": "chat.completion.chunk",
    "created": 1764000000,
    "model": "bench-2025-01-01",
    "service_tier": "default",
    "system_fingerprint": "fp_0123456789",
}
OPENAI_USAGE = {"prompt_tokens": 20, "completion_tokens": WORDS, "total_tokens": 20 + WORDS}
ANTHROPIC_USAGE = {"input_tokens": 20, "output_tokens": WORDS}
MESSAGE: dict[str, Any] = {
    "id": "msg_bench0123456789",
    "type": "message",
    "role": "assistant",
    "model": "claude-bench",
    "content": [{"type": "text", "text": SHORT_TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": ANTHROPIC_USAGE,
}
COMPLETION = {
    **CHUNK,
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": SHORT_TEXT, "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": OPENAI_USAGE,
}
OPENAI: dict[str, Any] = {"whole": response("200 OK", COMPLETION), "stream": chunked(openai_stream())}
ANTHROPIC: dict[str, Any] = {"whole": response("200 OK", MESSAGE), "stream": chunked(anthropic_stream())}
DOWN = response("503 Service Unavailable", {"error": {"message": "Down.", "type": "server_error", "code": None}})

if __name__ == "__main__":
    main()
