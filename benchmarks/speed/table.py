"""Medians over the rounds, their spread, and what each is beside our gateway's; whether the targets are met."""

import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

GATEWAY = "gateway"
# As they are called in the table. The rest stays in the JSON.
SHOWN = {
    "cpu_us": "CPU, us",
    "per_s": "per second",
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "kb_each": "KB each",
    "failed": "failed",
    "ready_s": "ready, s",
    "idle_mb": "idle, MB",
    "rows_per_s": "rows/s",
    "requests": "requests",
    "warm_mb": "after a tenth, MB",
    "end_mb": "at the end, MB",
}


@dataclass
class Table:
    """Figures by case, server and name: a list of what each round gave."""

    figures: defaultdict[tuple[str, str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, case: str, server: str, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.figures[case, server, name].append(value)

    def median(self, case: str, server: str, name: str) -> float | None:
        values = self.figures.get((case, server, name))
        return statistics.median(values) if values else None

    def ratio(self, case: str, name: str, over: str, server: str = GATEWAY) -> float | None:
        """The server's median over the other's."""
        mine, theirs = self.median(case, server, name), self.median(case, over, name)
        return None if mine is None or not theirs else mine / theirs

    @property
    def servers(self) -> list[str]:
        return list(dict.fromkeys(server for _, server, _ in self.figures))

    @property
    def cases(self) -> list[str]:
        return list(dict.fromkeys(case for case, _, _ in self.figures))

    def markdown(self) -> str:
        """A row for each case and figure, a column for each server: median (least to most), times the gateway's."""
        lines = [
            f"| case | figure | {' | '.join(self.servers)} |",
            f"| --- | --- | {' | '.join('---:' for _ in self.servers)} |",
        ]
        for case in self.cases:
            for name, shown in SHOWN.items():
                cells = [self._cell(case, server, name) for server in self.servers]
                if any(cells):
                    lines.append(f"| {case} | {shown} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def document(self) -> dict[str, dict[str, dict[str, list[float]]]]:
        """{case: {server: {figure: [each round]}}}"""
        nested: dict[str, dict[str, dict[str, list[float]]]] = {}
        for (case, server, name), values in self.figures.items():
            rounded = [round(value, 3) for value in values]
            nested.setdefault(case, {}).setdefault(server, {})[name] = rounded
        return nested

    def _cell(self, case: str, server: str, name: str) -> str:
        values = self.figures.get((case, server, name))
        if not values or (name == "cpu_us" and server == "direct") or (name == "kb_each" and server == "direct"):
            return ""
        cell = number(statistics.median(values))
        if len(values) > 1:
            cell += f" ({number(min(values))} to {number(max(values))})"
        ratio = self.ratio(case, name, GATEWAY, server)
        return cell if server == GATEWAY or ratio is None else f"{cell} ×{float(f'{ratio:.2g}'):,g}"


def number(value: float) -> str:
    """Three digits that mean something."""
    if value >= 100:
        return f"{value:,.0f}"
    if 0 < value < 0.1:
        return f"{value:.3f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


@dataclass(frozen=True)
class Target:
    """What was asked for. `measured` is None where the run did not measure it."""

    text: str
    measured: float | None
    most: float = float("inf")
    least: float = 0.0

    def __str__(self) -> str:
        if self.measured is None:
            return f"| {self.text} | not measured | |"
        met = self.least <= self.measured <= self.most
        return f"| {self.text} | {number(self.measured)} | {'yes' if met else '**no**'} |"


def targets(table: Table) -> Iterator[Target]:
    """The issue of speed is settled when all of these are met."""
    fast = "JSON, 64 connections"
    yield Target("JSON, 64 connections: CPU at most 1/20 of LiteLLM's", table.ratio(fast, "cpu_us", "litellm"), 1 / 20)
    yield Target("the same: at most 1/2 of Portkey's", table.ratio(fast, "cpu_us", "portkey"), 1 / 2)
    yield Target("the same: at most twice ferrogw's", table.ratio(fast, "cpu_us", "ferrogw"), 2)
    yield Target("JSON, 1 connection: added p50 at most 1 ms", _added(table, "JSON, 1 connection", "p50_ms"), 1)
    for case in ("SSE, 100 streams", "SSE, 300 streams"):
        yield Target(f"{case}: CPU per chunk at most 1/20 of LiteLLM's", table.ratio(case, "cpu_us", "litellm"), 1 / 20)
        yield Target("the same: at most 0.6 of ferrogw's", table.ratio(case, "cpu_us", "ferrogw"), 0.6)
    yield Target("SSE, 1 stream: added first token p50 at most 2 ms", _added(table, "SSE, 1 stream", "p50_ms"), 2)
    yield Target(
        "SSE, 500 streams: added first token p99 at most 20 ms", _added(table, "SSE, 500 streams", "p99_ms"), 20
    )
    many = "SSE, 1,000 streams"
    yield Target("SSE, 1,000 streams: none fails", table.median(many, GATEWAY, "failed"), 0)
    yield Target("the same: at most 40 KB each", table.median(many, GATEWAY, "kb_each"), 40)
    hits, misses = table.median("cache hit", GATEWAY, "cpu_us"), table.median(fast, GATEWAY, "cpu_us")
    yield Target(
        "cache hit: at least 1.5 times the rate of a miss", misses / hits if hits and misses else None, least=1.5
    )
    wire = table.ratio("litellm wire", "cpu_us", GATEWAY, "litellm")
    yield Target("litellm wire: at least 4 times LiteLLM's proxy", wire, least=4)
    yield Target("start-up: ready within 2 s", table.median("start-up", GATEWAY, "ready_s"), 2)
    yield Target("idle worker: at most 120 MB", table.median("start-up", GATEWAY, "idle_mb"), 120)
    yield Target("worker: at least 5,000 usage rows a second", table.median("drain", GATEWAY, "rows_per_s"), least=5000)
    pages = [table.median(case, GATEWAY, "p50_ms") or 0.0 for case in table.cases if case.startswith("page ")]
    yield Target("pages at a million rows: first byte within 200 ms, the slowest", max(pages, default=None), 200)


def _added(table: Table, case: str, name: str) -> float | None:
    through, direct = table.median(case, GATEWAY, name), table.median(case, "direct", name)
    return None if through is None or direct is None else through - direct
