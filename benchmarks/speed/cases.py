"""What is measured, one function a case: it drives one server for a moment and returns figures.

cpu_us      CPU of the server's processes for one request, or one streamed chunk, in microseconds
per_s       requests a second on the server's core, as the load saw them
p50_ms …    the time of a request, or until the first token of a stream
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.speed.load import Ask, Streams, Whole, sample, streams, whole
from benchmarks.speed.peers import Server, ours
from benchmarks.speed.processes import Meter, memory_mb
from benchmarks.speed.stage import Stage

Figures = dict[str, float]
Measure = Callable[[Stage, Server], Figures]

SECONDS = 4.0
COMPARED = 5
# With more than this, a server that needs most of a millisecond a chunk would take minutes.
MOST_STREAMS = {"litellm": 300, "portkey": 500}


class Wrong(AssertionError):
    """A server did not answer as it must, so that its figures mean nothing."""


@dataclass(frozen=True)
class Case:
    """`servers`: whose figures; None for all that there are."""

    name: str
    measure: Measure
    servers: tuple[str, ...] | None = ("gateway",)


def json_64(stage: Stage, server: Server) -> Figures:
    return _whole(stage, server, server.ask(), 64)


def json_1(stage: Stage, server: Server) -> Figures:
    return _whole(stage, server, server.ask(), 1)


def cache_hits(stage: Stage, server: Server) -> Figures:
    ask = server.ask()
    _drive(stage, ask, 1, 1, unique=False)
    return _whole(stage, server, ask, 64, unique=False)


def fallback(stage: Stage, server: Server) -> Figures:
    return _whole(stage, server, server.ask("fallback"), 64)


def wire_of_litellm(stage: Stage, server: Server) -> Figures:
    return _whole(stage, server, server.ask("claude"), 16)


def over_the_limit(stage: Stage, server: Server) -> Figures:
    return _refused(stage, server, ours(stage, "hasty").ask())


def over_the_budget(stage: Stage, server: Server) -> Figures:
    return _refused(stage, server, ours(stage, "poor").ask())


def unknown_key(stage: Stage, server: Server) -> Figures:
    ask = server.ask()
    return _refused(stage, server, Ask(ask.url, {"Authorization": "Bearer gw_live_wrong"}, ask.body))


def comparison(stage: Stage, server: Server) -> Figures:
    body = {
        "models": [{"model": "bench", "label": f"slot {slot}"} for slot in range(COMPARED)],
        "messages": [{"role": "user", "content": "Say hello in {n} words."}],
        "params": {"max_tokens": 200},
    }
    return _whole(stage, server, Ask(f"{stage.url}/compare_models", server.headers, body), 8)


def stream(at_once: int, rounds: int) -> Measure:
    """Streams of a hundred chunks, one every 20 ms."""

    def measure(stage: Stage, server: Server) -> Figures:
        if at_once > MOST_STREAMS.get(server.name, at_once):
            return {}
        process = server.process
        memory = (lambda: memory_mb(process)) if process else float
        before = memory()
        with Meter(process) as used:
            seen = streams(server.ask(stream=True, paced=True), at_once, rounds, memory=memory)
        return _of_streams(seen, used.cpu_s) | {"kb_each": max(0.0, seen.peak_mb - before) * 1024 / at_once}

    return measure


def _of_streams(seen: Streams, cpu_s: float) -> Figures:
    if not seen.words:
        raise Wrong(f"No stream was whole: {seen.failures[0]}")
    return {
        "cpu_us": cpu_s / seen.words * 1e6,
        "p50_ms": seen.first_token(50),
        "p99_ms": seen.first_token(99),
        "chunks_per_s": seen.words / seen.seconds,
        "failed": len(seen.failures),
    }


def _whole(stage: Stage, server: Server, ask: Ask, connections: int, *, unique: bool = True) -> Figures:
    with Meter(server.process) as used:
        seen = _drive(stage, ask, connections, SECONDS, unique=unique)
    if seen.refused > seen.requests * 0.001 or seen.broken:
        raise Wrong(f"{server.name}: {seen.refused} of {seen.requests} were refused: {sample(ask)}")
    return _figures(seen, used.cpu_s)


def _refused(stage: Stage, server: Server, ask: Ask) -> Figures:
    with Meter(server.process) as used:
        seen = _drive(stage, ask, 64, SECONDS)
    if seen.refused < seen.requests - 2 or seen.broken:
        raise Wrong(f"{server.name}: only {seen.refused} of {seen.requests} were refused: {sample(ask)}")
    return _figures(seen, used.cpu_s)


def _figures(seen: Whole, cpu_s: float) -> Figures:
    return {
        "cpu_us": cpu_s / seen.requests * 1e6,
        "per_s": seen.requests / seen.seconds,
        "p50_ms": seen.p50_ms,
        "p99_ms": seen.p99_ms,
    }


def _drive(stage: Stage, ask: Ask, connections: int, seconds: float, *, unique: bool = True) -> Whole:
    return whole(ask, connections, seconds, stage.folder, unique=unique)


EVERYBODY = None
CASES = [
    Case("JSON, 64 connections", json_64, EVERYBODY),
    Case("JSON, 1 connection", json_1, EVERYBODY),
    Case("SSE, 1 stream", stream(1, 8), EVERYBODY),
    Case("SSE, 100 streams", stream(100, 2), EVERYBODY),
    Case("SSE, 300 streams", stream(300, 2), EVERYBODY),
    Case("SSE, 500 streams", stream(500, 2), EVERYBODY),
    Case("SSE, 1,000 streams", stream(1000, 1), ("gateway", "direct", "nginx", "bare", "ferrogw")),
    Case("cache hit", cache_hits),
    Case("refusal: rate limit", over_the_limit),
    Case("refusal: budget", over_the_budget),
    Case("refusal: unknown key", unknown_key),
    Case("fallback after a 503", fallback),
    Case("comparison of 5", comparison),
    Case("litellm wire", wire_of_litellm, ("gateway", "litellm")),
]
