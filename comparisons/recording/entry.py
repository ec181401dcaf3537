"""What the journal of comparisons says, one JSON object an entry, and how it gets into the rows.

    {"comparison": id, "created": {columns}, "answers": [{columns}], "tags": [names]}   its rows could not be made
    {"comparison": id, "answer": {columns}}                                             a slot has ended
    {"comparison": id, "ended": {status, finished_at, wall_ms, cost_microusd}}          all slots have

Writing an entry twice changes nothing. A comparison that was deleted meanwhile stays deleted.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import orjson
from django.db import models, transaction

from accounts.models import User
from comparisons.models import Answer, Comparison, ComparisonTag

# Neither text nor jsonb of Postgres can hold NUL; some models write it.
NUL, INSTEAD = "\0", "\ufffd"
Row = TypeVar("Row", bound=models.Model)
ENDED = ("status", "finished_at", "wall_ms", "cost_microusd")


def create(comparison: Comparison, answers: Sequence[Answer], tags: Sequence[str]) -> None:
    """Save the rows of a comparison that begins; those that are there already stay as they are."""
    with transaction.atomic():
        Comparison.objects.bulk_create([comparison], ignore_conflicts=True)
        Answer.objects.bulk_create(answers, ignore_conflicts=True)
        rows = [ComparisonTag(comparison=comparison, tenant_id=comparison.tenant_id, name=name) for name in tags]
        ComparisonTag.objects.bulk_create(rows, ignore_conflicts=True)


def created(comparison: Comparison, answers: Sequence[Answer], tags: Sequence[str]) -> bytes:
    entry = {"created": _columns(comparison), "answers": [_columns(answer) for answer in answers], "tags": list(tags)}
    return _dump(comparison.pk, entry)


def whole(comparison: Comparison, answers: Sequence[Answer], tags: Sequence[str]) -> bytes:
    """For `restored`: as it is now, without what was asked."""
    columns = {**_columns(comparison), "messages": []}
    return _dump(comparison.pk, {"whole": columns, "answers": [_columns(each) for each in answers], "tags": list(tags)})


def restored(entry: dict[str, Any]) -> tuple[Comparison, list[Answer], list[str]]:
    """From what `whole` made of it: rows that no database has."""
    answers = [_row(Answer, columns) for columns in entry["answers"]]
    return _row(Comparison, entry["whole"]), answers, entry["tags"]


def answered(answer: Answer) -> bytes:
    return _dump(answer.comparison_id, {"answer": _columns(answer)})


def ended(comparison: Comparison) -> bytes:
    columns = _columns(comparison)
    return _dump(comparison.pk, {"ended": {name: columns[name] for name in ENDED}})


def write(raw: bytes) -> None:
    """Put one entry into the rows. Raises DatabaseError, and ValueError or KeyError for what is no entry."""
    entry = orjson.loads(raw)
    comparison_id = entry["comparison"]
    if "created" in entry:
        answers = [Answer(**columns) for columns in entry["answers"]]
        create(_without_the_gone(Comparison(**entry["created"])), answers, entry["tags"])
    if "answer" in entry:
        _write_answer(comparison_id, entry["answer"])
    if "ended" in entry:
        Comparison.objects.filter(pk=comparison_id).update(**entry["ended"])


def _without_the_gone(comparison: Comparison) -> Comparison:
    """It outlives its author and what it runs again; while its entry waited, these may have been deleted."""
    if not User.objects.filter(pk=comparison.author_id).exists():
        comparison.author_id = None
    if not Comparison.objects.filter(pk=comparison.successor_of_id).exists():
        comparison.successor_of_id = None
    return comparison


def _write_answer(comparison_id: str, columns: dict[str, Any]) -> None:
    slot = columns.pop("slot")
    Answer.objects.filter(comparison_id=comparison_id, slot=slot).update(**columns)


def _columns(row: models.Model) -> dict[str, Any]:
    """By the names of the columns; the key of an answer is the database's business."""
    fields = [field for field in row._meta.concrete_fields if not isinstance(field, models.AutoField)]
    return {field.attname: getattr(row, field.attname) for field in fields}


def _row(model: type[Row], columns: dict[str, Any]) -> Row:
    """With each value as the database would give it."""
    fields = {field.attname: field for field in model._meta.concrete_fields}
    return model(**{name: fields[name].to_python(value) for name, value in columns.items()})


def _dump(comparison_id: str, entry: dict[str, Any]) -> bytes:
    raw = orjson.dumps({"comparison": comparison_id, **entry})
    return orjson.dumps(without_nul(orjson.loads(raw))) if b"\\u0000" in raw else raw


def without_nul(value: Any) -> Any:
    """A JSON value as any database can hold it."""
    if isinstance(value, str):
        return value.replace(NUL, INSTEAD)
    if isinstance(value, dict):
        return {without_nul(name): without_nul(each) for name, each in value.items()}
    if isinstance(value, list):
        return [without_nul(each) for each in value]
    return value
