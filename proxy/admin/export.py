"""The usage ledger as CSV, streamed: a few thousand rows at a time, each batch from where the last one ended."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone

from accounts.sql import run_query
from proxy.admin.keyset import Place
from proxy.models import Usage

BATCH = 2000
COLUMNS = (
    "created_at",
    "request_id",
    "tenant_name",
    "username",
    "key_name",
    "endpoint",
    "chain",
    "requested_model",
    "served_model",
    "provider",
    "status",
    "error_code",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "quality",
    "cost_usd",
    "latency_ms",
    "first_token_ms",
    "streamed",
    "attempts",
    "tags",
)
# What makes a spreadsheet take a text for a formula (OWASP, CSV injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_response(queryset: QuerySet[Usage]) -> StreamingHttpResponse:
    """A download of these rows, newest first."""
    name = f"usage-{timezone.now():%Y-%m-%d-%H%M}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingHttpResponse(_lines(queryset), content_type="text/csv; charset=utf-8", headers=headers)


async def _lines(queryset: QuerySet[Usage]) -> AsyncIterator[str]:
    yield _csv([COLUMNS])
    place: Place | None = None
    while rows := await run_query(_batch, queryset, place):
        yield _csv(_cells(row) for row in rows)
        place = Place.of(rows[-1])


def _batch(queryset: QuerySet[Usage], place: Place | None) -> list[Usage]:
    """The next rows. No cursor is held while a slow reader takes its time, nor is a connection."""
    return list((queryset.filter(place.older) if place else queryset)[:BATCH])


def _cells(row: Usage) -> list[Any]:
    return [_cell(row, column) for column in COLUMNS]


def _cell(row: Usage, column: str) -> Any:
    match column:
        case "created_at":
            return row.created_at.isoformat(timespec="milliseconds")
        case "cost_usd":
            return f"{row.cost_microusd / 1_000_000:.6f}"
        case "attempts":
            return len(row.attempts)
        case "tags":
            return _safe(" ".join(str(tag) for tag in row.tags))
        case _:
            return _safe(getattr(row, column))


def _safe(value: Any) -> Any:
    """A text that a spreadsheet shows instead of running it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _csv(rows: Any) -> str:
    lines = io.StringIO()
    csv.writer(lines).writerows(rows)
    return lines.getvalue()
