"""What the database counts for a leaderboard: alike comparisons with their votes, and how each model's answers went."""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import (
    Aggregate,
    Avg,
    CharField,
    Count,
    F,
    FloatField,
    Q,
    QuerySet,
    Value,
)
from django.db.models.expressions import Case, Combinable, When
from django.db.models.functions import Cast, Coalesce, Concat, NullIf

from comparisons.leaderboard.ballots import Ballots, Choice
from comparisons.leaderboard.scope import Scope
from comparisons.models import Answer, Vote
from comparisons.models.answer import AnswerStatus
from comparisons.models.vote import Verdict

# Names of models hold no line breaks.
SEPARATOR = "\n"


class Joined(Aggregate):
    """Texts, one a line, in no order."""

    function = "STRING_AGG"
    template = "%(function)s(%(expressions)s, '\n')"
    output_field = CharField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, function="GROUP_CONCAT", **context)


class Median(Aggregate):
    """The middle of the numbers that are there; None of none."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> tuple[str, Any]:
        """SQLite knows no medians: it hands out all numbers."""
        numbers = self.copy()
        numbers.template = "JSON_GROUP_ARRAY(%(expressions)s)"
        return numbers.as_sql(compiler, connection, **context)

    @property
    def convert_value(self) -> Callable[[Any, Any, Any], float | None]:
        return lambda value, _expression, _connection: _median(value)


def _median(value: Any) -> float | None:
    if isinstance(value, str):
        numbers = [number for number in json.loads(value) if number is not None]
        return statistics.median(numbers) if numbers else None
    return value  # type: ignore[no-any-return]  # of PostgreSQL, a float or None


@dataclass(frozen=True, slots=True)
class Answered:
    """How a model's answers went, voted on or not. `median_ms`, `cost_microusd` (the mean): of those that came."""

    answers: int
    failed: int
    median_ms: float | None
    cost_microusd: float | None

    @property
    def failure_rate(self) -> float | None:
        return self.failed / self.answers if self.answers else None


def ballots(scope: Scope) -> list[Ballots]:
    """The votes of the scope, grouped by the models that answered and by what was voted."""
    comparisons = scope.comparisons().values("pk")
    votes = Vote.objects.filter(comparison__in=comparisons)
    if scope.is_blind:
        votes = votes.filter(blind=True)
    answers = Answer.objects.filter(comparison__in=comparisons, status=AnswerStatus.OK)
    choice = Case(When(verdict=Verdict.SLOT, then=Cast("winner", CharField())), default=F("verdict"))
    slot = Concat(Cast("slot", CharField()), Value(" "), _model(), output_field=CharField())
    # Each table is read once; as subqueries of every comparison they would take three times as long.
    of_votes, vote_parameters = _joined(votes, choice)
    of_answers, answer_parameters = _joined(answers, slot)
    sql = (
        f"SELECT a.joined, v.joined, COUNT(*) FROM ({of_votes}) v JOIN ({of_answers}) a USING (comparison_id) "  # noqa: S608 - of Django's own
        "GROUP BY a.joined, v.joined"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, [*vote_parameters, *answer_parameters])
        return [_ballots(models, choices, count) for models, choices, count in cursor]


def answered(scope: Scope) -> dict[str, Answered]:
    """By model; answers that are under way, or that nobody waited for, are left out."""
    answers = Answer.objects.filter(comparison__in=scope.comparisons().values("pk"))
    ok = Q(status=AnswerStatus.OK)
    rows = (
        answers.filter(status__in=[AnswerStatus.OK, AnswerStatus.ERROR])
        .order_by()
        .values(model=_model())
        .annotate(
            answers=Count("pk"),
            failed=Count("pk", filter=~ok),
            median_ms=Median("latency_ms", filter=ok),
            cost_microusd=Avg("cost_microusd", filter=ok),
        )
    )
    return {
        row["model"]: Answered(row["answers"], row["failed"], row["median_ms"], row["cost_microusd"]) for row in rows
    }


def _model() -> Combinable:
    """The model that answered. Of a failure, what was asked for."""
    return Coalesce(NullIf("resolved_model", Value("")), "requested_model")


def _joined(rows: QuerySet[Any], expression: Combinable) -> tuple[str, Sequence[Any]]:
    """SQL and its parameters: a row for each comparison, with the texts of its rows joined."""
    joined = rows.order_by().values("comparison_id").annotate(joined=Joined(expression))
    sql, parameters = joined.values("comparison_id", "joined").query.sql_with_params()
    return str(sql), tuple(parameters)


def _ballots(models: str, choices: str, count: int) -> Ballots:
    by_slot = dict(sorted(_slot(line) for line in models.split(SEPARATOR)))
    return Ballots(by_slot, [_choice(text) for text in choices.split(SEPARATOR)], count)


def _slot(line: str) -> tuple[int, str]:
    slot, _, model = line.partition(" ")
    return int(slot), model


def _choice(text: str) -> Choice:
    if text == Verdict.TIE:
        return "tie"
    if text == Verdict.ALL_BAD:
        return "all_bad"
    return int(text)
