"""An entry of the usage stream, read into an unsaved Usage row.

The settlement script appends entries with one field, `event`: a JSON object whose keys are Usage's columns. A key that
is missing (or null, where the column is not) takes the model's default and an unknown one is ignored, so that web
processes and workers of neighbouring versions understand each other during a rolling deploy. A name that is too long
is cut: the row matters more than the name's end. What is left is impossible to store, and becomes a dead letter.

Where the tenant stores prompts and answers, the object has a `body`, too (`proxy.transcript`). It becomes a row of its
own and is no part of the payload from there on: a dead letter lives longer than it may.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from math import inf
from typing import Any

import orjson
from django.db import models
from django.db.backends.base.operations import BaseDatabaseOperations

from proxy.models import StoredBody, Usage
from proxy.usage.json_rows import columns_of

FIELD = b"event"
BODY = "body"
MOST_BYTES = 2**31 - 1
COUNTED, COUNTERS = b"counted", b"counters"
REQUIRED = frozenset({"request_id", "created_at", "month", "status"})
IDENTITIES = frozenset({"request_id", "month"})  # never cut: two different ones could become the same


class Malformed(ValueError):
    """No usage row can be made of the event; says why."""


@dataclass(slots=True)
class Entry:
    """One entry: `usage` is the row that it asks for; where there can be none, `error` says why.

    `counted` tokens were added to each of the `counters` (names in Redis) when the entry was appended; None where an
    older version did not say.
    """

    stream_id: str
    payload: bytes
    usage: Usage | None = None
    error: str = ""
    counted: int | None = None
    counters: tuple[str, ...] = ()
    body: StoredBody | None = None

    @classmethod
    def from_stream(cls, stream_id: bytes, fields: Mapping[bytes, bytes]) -> "Entry":
        entry = cls.read(stream_id.decode(), fields.get(FIELD, b""))
        if COUNTED in fields:
            entry.counted = int(fields[COUNTED])
            entry.counters = tuple(fields.get(COUNTERS, b"").decode().split())
        return entry

    @classmethod
    def read(cls, stream_id: str, payload: bytes) -> "Entry":
        entry = cls(stream_id, payload)
        try:
            event = _event(payload)
            if body := event.pop(BODY, None):
                entry.payload = orjson.dumps(event)
            entry.usage = _usage(*_values(event))
            entry.body = _body(entry.usage, body)
        except Malformed as error:
            entry.error = str(error)
        return entry

    @property
    def place(self) -> tuple[int, int]:
        """Where it is in the stream, as numbers that can be compared."""
        return place_of(self.stream_id)

    @property
    def text(self) -> str:
        """The payload as any database can store it."""
        return self.payload.decode(errors="backslashreplace").replace("\0", "\\x00")


def place_of(stream_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = stream_id.partition("-")
    return int(milliseconds), int(sequence)


def _event(payload: bytes) -> dict[str, Any]:
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"The event is not JSON: {error}") from error
    if not isinstance(event, dict):
        raise Malformed("The event is not a JSON object.")
    return event


def _body(usage: Usage, body: Any) -> StoredBody | None:
    """None where there is nothing to store; a body that cannot be read never costs its request the usage row."""
    if not isinstance(body, dict) or usage.tenant_id is None:
        return None
    (request, request_bytes), (answer, answer_bytes) = _part(body.get("request")), _part(body.get("answer"))
    return StoredBody(
        request_id=usage.request_id,
        tenant_id=usage.tenant_id,
        created_at=usage.created_at,
        request_json=request,
        request_bytes=request_bytes,
        answer_json=answer,
        answer_bytes=answer_bytes,
    )


def _part(part: Any) -> tuple[str, int]:
    """The body's JSON, "" for none, and its length."""
    part = part if isinstance(part, dict) else {}
    length = part.get("bytes")
    try:
        text = orjson.dumps(part["json"]).decode() if isinstance(part.get("json"), dict) else ""
    except TypeError:  # it has more levels than orjson writes, though not more than it reads
        text = ""
    return text, length if isinstance(length, int) and 0 <= length <= MOST_BYTES else len(text)


def _values(event: dict[str, Any]) -> list[Any]:
    """Of all columns but the primary key, in the order of the model's fields."""
    name = ""
    values = []
    try:
        for name, read, default in _READERS:
            value = event.get(name)
            values.append(default() if value is None else read(value))
    except (ValueError, TypeError, ArithmeticError) as error:
        raise Malformed(f"{name}: {error}") from error
    return values


def _text(value: Any, longest: float, *, cut: bool) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("not a text, or one with a NUL character")
    if len(value) <= longest:
        return value
    if not cut:
        raise ValueError(f"longer than {longest} characters")
    return value[: int(longest)]


def _whole_number(value: Any, least: int, most: int) -> int:
    """Lua writes large whole numbers as 1e+15, which JSON reads as a float."""
    if type(value) is not int and (type(value) is not float or value != int(value)):
        raise ValueError("not a whole number")
    if not least <= value <= most:
        raise ValueError(f"not between {least} and {most}")
    return int(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a time without an offset")
    return moment.astimezone(UTC)


def _identifier(value: Any) -> uuid.UUID:
    return uuid.UUID(str(value))


def _price(value: Any, field: "models.DecimalField[Any, Any]") -> Decimal:
    price = round(Decimal(str(value)), field.decimal_places or 0)
    if not 0 <= price < 10 ** ((field.max_digits or 0) - (field.decimal_places or 0)):
        raise ValueError("not a price")
    return price


def _list(value: Any, of: type) -> list[Any]:
    """Lua writes an empty list as {}."""
    items = value or []
    if not isinstance(items, list) or not all(isinstance(item, of) for item in items):
        raise TypeError("not a list of what it should be")
    return items


def _reader(field: "models.Field[Any, Any]") -> Callable[[Any], Any]:
    match field:
        case models.DateTimeField():
            return _moment
        case models.UUIDField():
            return _identifier
        case models.DecimalField():
            return partial(_price, field=field)
        case models.BooleanField():
            return _truth
        case models.JSONField():
            return partial(_list, of=dict if field.attname == "attempts" else str)
        case models.IntegerField():
            least, most = BaseDatabaseOperations.integer_field_ranges[field.get_internal_type()]
            return partial(_whole_number, least=least, most=most)
        case _:
            longest = inf if field.max_length is None else field.max_length
            return partial(_text, longest=longest, cut=field.attname not in IDENTITIES)


def _default(field: "models.Field[Any, Any]") -> Callable[[], Any]:
    return _missing if field.attname in REQUIRED else field.get_default


def _missing() -> None:
    raise ValueError("missing")


COLUMNS = columns_of(Usage)
# By position, for which Django takes half as long as by name. The primary key is the first field, and has no value yet.
_usage: Callable[..., Usage] = partial(Usage, None)
_READERS = [(field.attname, _reader(field), _default(field)) for field in COLUMNS]
