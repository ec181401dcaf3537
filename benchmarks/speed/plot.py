"""The table's most telling figures as bars: SVG, written by hand, readable on light and on dark pages."""

from collections.abc import Iterator
from html import escape

from benchmarks.speed.table import GATEWAY, Table, number

WIDTH, BAR, GAP, LABEL = 640, 22, 10, 110
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#333}.t{font-weight:600}rect{fill:#9aa5b1}rect.g{fill:#2563eb}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}rect{fill:#6b7785}rect.g{fill:#60a5fa}}"
)
PICTURES = {
    "cpu-json": ("JSON, 64 connections", "CPU per request, microseconds (less is better)"),
    "cpu-stream": ("SSE, 100 streams", "CPU per streamed chunk, microseconds (less is better)"),
}


def pictures(table: Table) -> Iterator[tuple[str, str]]:
    """(file name without its ending, SVG)"""
    for name, (case, title) in PICTURES.items():
        found = {server: table.median(case, server, "cpu_us") for server in table.servers if server != "direct"}
        bars = {server: value for server, value in found.items() if value}
        if bars:
            yield name, bar_chart(f"{case}: {title}", bars)


def bar_chart(title: str, bars: dict[str, float]) -> str:
    """Horizontal bars, the shortest first."""
    longest = max(bars.values())
    rows = []
    for place, (name, value) in enumerate(sorted(bars.items(), key=lambda bar: bar[1])):
        top = 36 + place * (BAR + GAP)
        width = max(2.0, value / longest * (WIDTH - LABEL - 90))
        kind = ' class="g"' if name == GATEWAY else ""
        rows.append(
            f'<text x="{LABEL - 8}" y="{top + 16}" text-anchor="end">{escape(name)}</text>'
            f'<rect{kind} x="{LABEL}" y="{top}" width="{width:.1f}" height="{BAR}" rx="3"/>'
            f'<text x="{LABEL + width + 6:.1f}" y="{top + 16}">{number(value)}</text>'
        )
    height = 36 + len(bars) * (BAR + GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}"><style>{STYLE}</style><text class="t" x="0" y="18">{escape(title)}</text>'
        f"{''.join(rows)}</svg>\n"
    )
