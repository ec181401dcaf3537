"""Load from public tools: wrk for whole answers, and a bare asyncio client that reads streams and checks every word."""

import asyncio
import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvloop

from benchmarks.speed.upstream import PACE_MS, TEXT, WORDS

STREAM_S = WORDS * PACE_MS / 1000
PATIENCE_S = 240.0
GOLDEN_RATIO = 0.618034  # what comes so often lies evenly in a second, however often it comes
# Every request asks for something else (so that none is answered from a cache), unless `unique` is false.
WRK_SCRIPT = """
local count = 0
local before, after = %(before)s, %(after)s
wrk.method = "POST"
for name, value in pairs(%(headers)s) do wrk.headers[name] = value end
request = function()
  count = count + 1
  return wrk.format(nil, nil, nil, before .. (%(unique)s and count or 0) .. after)
end
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests": %%d, "seconds": %%f, "p50_ms": %%f, "p99_ms": %%f, "refused": %%d, "broken": %%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""
_serial = 0


@dataclass(frozen=True)
class Ask:
    """What is sent: a body with `{n}` where its number goes."""

    url: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    def text(self) -> str:
        return json.dumps(self.body)


def chat(model: str, *, stream: bool = False, paced: bool = False) -> dict[str, Any]:
    prompt = "Say hello in {n} words." + (" (paced)" if paced else "")
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": 200}
    return {**body, "stream": True} if stream else body


@dataclass(frozen=True)
class Whole:
    """What wrk saw. `refused`: answers other than 2xx and 3xx."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int


def whole(ask: Ask, connections: int, seconds: float, folder: Path, *, unique: bool = True) -> Whole:
    """Drive whole answers over this many connections. Numbers go on from one call to the next."""
    global _serial
    _serial += 1
    before, after = ask.text().split("{n}")
    script = folder / "wrk.lua"
    headers = {"Content-Type": "application/json", **ask.headers}
    script.write_text(
        WRK_SCRIPT
        % {
            "before": _lua(f"{before}{_serial}." if unique else before),
            "after": _lua(after),
            "headers": "{" + ", ".join(f"[{_lua(name)}] = {_lua(value)}" for name, value in headers.items()) + "}",
            "unique": "true" if unique else "false",
        }
    )
    command = [shutil.which("wrk") or "wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s"]
    done = subprocess.run([*command, "-s", str(script), ask.url], capture_output=True, text=True, check=True)
    result = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return Whole(**json.loads(result.removeprefix("RESULT ")))


def sample(ask: Ask) -> str:
    """One answer, to look at."""
    headers = {"Content-Type": "application/json", **ask.headers}
    request = urllib.request.Request(ask.url, ask.text().encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return f"{answer.status} {answer.read(1000)!r}"
    except urllib.error.HTTPError as refusal:
        return f"{refusal.code} {refusal.read(1000)!r}"


def _lua(text: str) -> str:
    """A Lua string; JSON's escapes are Lua's, too, for plain ASCII."""
    return json.dumps(text)


@dataclass
class Streams:
    """What the readers of streams saw; times in milliseconds."""

    first_token_ms: list[float] = field(default_factory=list)
    words: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    peak_mb: float = 0.0

    def first_token(self, percent: int) -> float:
        times = sorted(self.first_token_ms)
        return times[min(len(times) - 1, len(times) * percent // 100)] if times else 0.0


def streams(
    ask: Ask, at_once: int, rounds: int, *, text: str = TEXT, memory: Callable[[], float] | None = None
) -> Streams:
    """Keep so many streams open, each caller asking `rounds` times; they begin spread over one stream's length.

    A single caller's begin at many moments of a second. One after the other, they would all meet what happens once a
    second, such as the worker's look at what there is to drain, or none would.
    """
    return uvloop.run(_streams(ask, at_once, rounds, text, memory))


async def _streams(ask: Ask, at_once: int, rounds: int, text: str, memory: Callable[[], float] | None) -> Streams:
    seen = Streams()
    watching = asyncio.create_task(_watch(memory, seen)) if memory else None
    began = time.perf_counter()
    rests = [[number / at_once * STREAM_S] + [0.0] * (rounds - 1) for number in range(at_once)]
    if at_once == 1:
        rests = [[GOLDEN_RATIO] * rounds]
    callers = [_call(ask, seen, text, rests_s) for rests_s in rests]
    try:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*callers)
    except TimeoutError:
        seen.failures.append(f"not done after {PATIENCE_S:g} s")
    seen.seconds = time.perf_counter() - began
    if watching:
        watching.cancel()
    return seen


async def _watch(memory: Callable[[], float], seen: Streams) -> None:
    while True:
        seen.peak_mb = max(seen.peak_mb, memory())
        await asyncio.sleep(0.25)


async def _call(ask: Ask, seen: Streams, text: str, rests_s: Sequence[float]) -> None:
    """One stream after each rest."""
    address = urlsplit(ask.url)
    loop = asyncio.get_running_loop()
    for rest_s in rests_s:
        await asyncio.sleep(rest_s)
        reader = Reader()
        transport, _protocol = await loop.create_connection(
            lambda reader=reader: reader, address.hostname, address.port
        )
        began = time.perf_counter()
        transport.write(ask_bytes(ask))
        await reader.done
        transport.close()
        answer = bytes(reader.data)
        if failure := wrong_with(answer, text):
            seen.failures.append(failure)
        else:
            seen.first_token_ms.append((reader.first_at - began) * 1000)
            seen.words += WORDS


class Reader(asyncio.Protocol):
    """One stream: everything that came, and when its first word did."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.first_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.data += data
        if not self.first_at and b" w0" in data:
            self.first_at = time.perf_counter()
        ended = data.endswith(b"\r\n0\r\n\r\n") or (len(data) < 16 and self.data.endswith(b"\r\n0\r\n\r\n"))
        if (ended or not self.data.startswith(b"HTTP/1.1 200")) and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def ask_bytes(ask: Ask, number: int | None = None) -> bytes:
    """The request as it is sent; with the next number, unless one is given."""
    global _serial
    _serial += 1
    address = urlsplit(ask.url)
    body = ask.text().replace("{n}", str(_serial if number is None else number)).encode()
    headers = {"Host": address.netloc, "Content-Type": "application/json", **ask.headers, "Content-Length": len(body)}
    lines = [f"POST {address.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


_WORD = re.compile(rb'"content": ?"((?:[^"\\]|\\.)*)"')


def wrong_with(answer: bytes, text: str) -> str:
    """What is wrong with a streamed answer, headers and chunk sizes included; "" if it is whole, word for word."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        return f"{head[:40]!r} {body[:300]!r}"
    events = _without_chunk_sizes(body)
    said = b"".join(_WORD.findall(events)).decode()
    if said != text:
        return f"said {said[-80:]!r}"
    return "" if b"[DONE]" in events else "no [DONE]"


def _without_chunk_sizes(body: bytes) -> bytes:
    pieces, at = [], 0
    while at < len(body):
        end = body.find(b"\r\n", at)
        size = int(body[at:end] or b"0", 16)
        pieces.append(body[end + 2 : end + 2 + size])
        at = end + size + 4
    return b"".join(pieces)
