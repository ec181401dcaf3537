"""The leaderboard: who is better, how sure that is, and what it costs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from django.utils import timezone

from comparisons.leaderboard.ballots import Record, records
from comparisons.leaderboard.counts import Answered, answered, ballots
from comparisons.leaderboard.scope import Scope

if TYPE_CHECKING:
    from comparisons.leaderboard.ratings import Rating

# Votes that compare a model with another, below which it has no rank, and below which its rank may well change.
FEWEST_FOR_A_RANK = 30
FEWEST_TO_RELY_ON = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One model. Rates are between 0 and 1, and None where nothing was counted; ratings are in points."""

    model: str
    votes: int = 0
    win_rate: float | None = None
    tie_rate: float | None = None
    all_bad_rate: float | None = None
    answers: int = 0
    failure_rate: float | None = None
    median_ms: float | None = None
    cost_microusd: float | None = None
    rating: float | None = None
    lower: float | None = None
    upper: float | None = None
    one_sided: bool = False
    rank: int | None = None

    @property
    def is_preliminary(self) -> bool:
        return self.rank is not None and self.votes < FEWEST_TO_RELY_ON

    @property
    def votes_missing(self) -> int:
        """For a rank."""
        return max(0, FEWEST_FOR_A_RANK - self.votes)


@dataclass(frozen=True, slots=True)
class Board:
    """`groups`: models that votes connect, so that their ratings can be compared; the group with most votes first."""

    groups: list[list[Row]]
    unrated: list[Row]
    comparisons: int
    votes: int
    counted_at: datetime = field(default_factory=timezone.now)

    @property
    def is_empty(self) -> bool:
        return not self.groups and not self.unrated

    def dump(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "counted_at": self.counted_at.isoformat()}

    @classmethod
    def load(cls, data: dict[str, Any]) -> Self:
        return cls(
            groups=[[Row(**row) for row in group] for group in data["groups"]],
            unrated=[Row(**row) for row in data["unrated"]],
            comparisons=data["comparisons"],
            votes=data["votes"],
            counted_at=datetime.fromisoformat(data["counted_at"]),
        )


def count(scope: Scope) -> Board:
    """Count everything anew: some milliseconds for a thousand comparisons, about a second for a hundred thousand."""
    from comparisons.leaderboard.ratings import rate  # noqa: PLC0415 - numpy, see the package's docstring

    cast = ballots(scope)
    voted, asked = records(cast), answered(scope)
    groups = [_group(ratings, voted, asked) for ratings in rate(cast)]
    rated = {row.model for group in groups for row in group}
    return Board(
        groups=groups,
        unrated=[_row(model, voted, asked) for model in sorted(voted.keys() | asked.keys()) if model not in rated],
        comparisons=sum(alike.count for alike in cast),
        votes=sum(alike.count * len(alike.votes) for alike in cast),
    )


def _group(ratings: "Sequence[Rating]", voted: Mapping[str, Record], asked: Mapping[str, Answered]) -> list[Row]:
    """The best rank first; those without one at the end."""
    ranks = _ranks([rating for rating in ratings if voted[rating.model].votes >= FEWEST_FOR_A_RANK])
    rows = [
        replace(
            _row(rating.model, voted, asked),
            rating=rating.rating,
            lower=rating.lower,
            upper=rating.upper,
            one_sided=rating.one_sided,
            rank=ranks.get(rating.model),
        )
        for rating in ratings
    ]
    return sorted(rows, key=lambda row: row.rank or len(rows) + 1)


def _ranks(ratings: "Sequence[Rating]") -> dict[str, int]:
    """One more than there are models that are surely better: whose interval is wholly above this one's."""
    return {rating.model: 1 + sum(other.lower > rating.upper for other in ratings) for rating in ratings}


def _row(model: str, voted: Mapping[str, Record], asked: Mapping[str, Answered]) -> Row:
    record, answers = voted.get(model, Record()), asked.get(model, Answered(0, 0, None, None))
    return Row(
        model=model,
        votes=record.votes,
        win_rate=record.win_rate,
        tie_rate=record.tie_rate,
        all_bad_rate=record.all_bad_rate,
        answers=answers.answers,
        failure_rate=answers.failure_rate,
        median_ms=answers.median_ms,
        cost_microusd=answers.cost_microusd,
    )
