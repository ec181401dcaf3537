"""Which model is best, by all votes of the tenant."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render

from comparisons.leaderboard import shelf
from comparisons.leaderboard.board import FEWEST_FOR_A_RANK, FEWEST_TO_RELY_ON, Board, Row
from comparisons.leaderboard.plot import Plot, draw
from comparisons.leaderboard.scope import PERIODS, Scope
from comparisons.models import ComparisonTag
from comparisons.pages.members import MemberRequest, member_page

# Of the picture of an interval, in pixels; its ends keep the dots whole.
BAR, MARGIN = 120, 5


@dataclass(frozen=True, slots=True)
class Line:
    """A row with its interval drawn: where it begins and ends, and where the rating is."""

    row: Row
    start: float = 0.0
    end: float = 0.0
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """Models whose ratings can be compared with each other."""

    lines: list[Line]
    plot: Plot | None
    has_ranks: bool


@member_page
def leaderboard(request: MemberRequest) -> HttpResponse:
    """The page at once; a large board that is old or missing is counted when the page asks for it (`count`)."""
    scope = Scope.read(request.user.tenant_id or 0, request.GET)
    found = shelf.look_up(scope)
    is_fresh = shelf.is_fresh(found)
    if "count" in request.GET and not is_fresh and (counted := shelf.count_again(scope)):
        found, is_fresh = counted, True
    context = {
        "scope": scope,
        "board": found,
        "is_fresh": is_fresh,
        "groups": _groups(found) if found else [],
        "fewest_for_a_rank": FEWEST_FOR_A_RANK,
        "fewest_to_rely_on": FEWEST_TO_RELY_ON,
    }
    if request.htmx and request.htmx.target == "board":
        return render(request, "comparisons/leaderboard/board.html", context)
    return render(request, "comparisons/leaderboard.html", {**context, **_choices(scope)})


def _choices(scope: Scope) -> dict[str, Any]:
    return {"tags": ComparisonTag.objects.names(scope.tenant_id), "periods": PERIODS}


def _groups(board: Board) -> list[Group]:
    return [_group(rows) for rows in board.groups]


def _group(rows: list[Row]) -> Group:
    """What has ranks sets the scale of the pictures: the wide intervals of newcomers would dwarf all others."""
    ranked = [row for row in rows if row.rank]
    has_ranks = len(ranked) > 1
    return Group(_lines(rows, ranked if has_ranks else rows), draw(ranked if has_ranks else rows), has_ranks)


def _lines(rows: list[Row], leading: list[Row]) -> list[Line]:
    """All on one scale, so that overlaps show; what is beyond it ends at its edge."""
    lowest = min(row.lower or 0.0 for row in leading)
    highest = max(row.upper or 0.0 for row in leading)
    scale = (BAR - 2 * MARGIN) / max(highest - lowest, 1e-9)

    def place(points: float | None) -> float:
        return round(min(max(MARGIN + ((points or 0.0) - lowest) * scale, 0.0), BAR), 1)

    return [Line(row, place(row.lower), place(row.upper), place(row.rating)) for row in rows]
