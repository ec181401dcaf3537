"""The cost of an answer against the rating, as a picture that the server draws. Lengths are those of its viewBox."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from comparisons.leaderboard.board import Row

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 20, 44
# About the width of a character of a label, and the height of its line.
CHARACTER, LINE = 6.6, 15.0
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Point:
    """A model, its interval, and where its name stands. `is_best`: nobody is at once better and no dearer."""

    row: Row
    x: float
    y: float
    top: float
    bottom: float
    label_x: float
    label_y: float
    anchor: str
    is_best: bool


@dataclass(frozen=True, slots=True)
class Plot:
    points: list[Point]
    across: list[Tick]
    up: list[Tick]
    is_logarithmic: bool
    best_line: str
    """The points that are best for their price, joined: an SVG path."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to lengths, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    is_logarithmic: bool = False

    def at(self, value: float) -> float:
        low, high, value = (math.log10(v) if self.is_logarithmic else v for v in (self.low, self.high, value))
        return round(self.start + (self.end - self.start) * (value - low) / (high - low), 1)


def draw(rows: Sequence[Row]) -> Plot | None:
    """None where fewer than two models have both a rating and a cost, or all are free: that is no picture."""
    rows = [row for row in rows if row.rating is not None and row.cost_microusd is not None]
    costs = [row.cost_microusd or 0.0 for row in rows]
    if len(rows) < 2 or not any(costs):
        return None
    across, across_ticks = _costs(min(costs), max(costs))
    up, up_ticks = _ratings(min(row.lower or 0.0 for row in rows), max(row.upper or 0.0 for row in rows))
    best = _best(rows)
    points = list(_points(rows, across, up, best))
    corners = sorted((point.x, point.y) for point in points if point.is_best)
    return Plot(
        points=points,
        across=across_ticks,
        up=up_ticks,
        is_logarithmic=across.is_logarithmic,
        best_line="M" + " L".join(f"{x} {y}" for x, y in corners) if len(corners) > 1 else "",
    )


def _best(rows: Sequence[Row]) -> set[str]:
    """Going from cheap to dear, each that is better than all before."""
    best, highest = set(), -math.inf
    for row in sorted(rows, key=lambda row: (row.cost_microusd or 0.0, -(row.rating or 0.0))):
        if (row.rating or 0.0) > highest:
            best.add(row.model)
            highest = row.rating or 0.0
    return best


def _costs(low: float, high: float) -> tuple[Axis, list[Tick]]:
    """Logarithmic where prices are far apart, and none is zero."""
    is_logarithmic = low > 0 and high / low > 20
    if is_logarithmic:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        ticks = [10.0**power for power in range(first, last + 1)]
    else:
        ticks = _round_steps(0.0, high)
    axis = Axis(ticks[0], ticks[-1], LEFT, WIDTH - RIGHT, is_logarithmic)
    return axis, [Tick(axis.at(value), _dollars(value)) for value in ticks]


def _ratings(low: float, high: float) -> tuple[Axis, list[Tick]]:
    ticks = _round_steps(low, high)
    axis = Axis(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    return axis, [Tick(axis.at(value), f"{value:,.0f}") for value in ticks]


def _round_steps(low: float, high: float) -> list[float]:
    """Four to ten round numbers, of which the first is not above `low` and the last not below `high`."""
    span = max(high - low, 1e-9)
    magnitude = 10.0 ** math.floor(math.log10(span / 4))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if span / (magnitude * factor) <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, last + 1)]


def _dollars(microusd: float) -> str:
    return f"${microusd / 1e6:.7f}".rstrip("0").rstrip(".")


def _points(rows: Sequence[Row], across: Axis, up: Axis, best: set[str]) -> Iterator[Point]:
    places = [(across.at(row.cost_microusd or 0.0), up.at(row.rating or 0.0)) for row in rows]
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    for row, (x, y) in zip(rows, places, strict=True):
        label_x, label_y, anchor, box = _label(row.model, x, y, taken)
        taken.append(box)
        yield Point(
            row,
            x,
            y,
            top=up.at(row.upper or 0.0),
            bottom=up.at(row.lower or 0.0),
            label_x=label_x,
            label_y=label_y,
            anchor=anchor,
            is_best=row.model in best,
        )


def _label(text: str, x: float, y: float, taken: Sequence[Box]) -> tuple[float, float, str, Box]:
    """The first place beside the point where the name covers no point and no other name; else the least bad one."""
    width = len(text) * CHARACTER
    choices = []
    for down in (0, -LINE, LINE, -2 * LINE, 2 * LINE, -3 * LINE, 3 * LINE):
        middle = y + down
        for anchor, start in (("start", x + 10), ("end", x - 10 - width)):
            box = (start, middle - LINE / 2, start + width, middle + LINE / 2)
            if box[0] >= LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM + LINE:
                at = round(start if anchor == "start" else start + width, 1)
                choices.append((at, round(middle + LINE / 4, 1), anchor, box))
    if not choices:
        choices = [(LEFT + 4.0, round(y - 10, 1), "start", (LEFT + 4.0, y - 18, LEFT + 4 + width, y - 4))]
    return min(choices, key=lambda choice: sum(_overlap(choice[3], box) for box in taken))


def _overlap(left: Box, right: Box) -> float:
    across = min(left[2], right[2]) - max(left[0], right[0])
    down = min(left[3], right[3]) - max(left[1], right[1])
    return max(0.0, across) * max(0.0, down)
