"""Writing many usage rows with one statement that says which of them are new."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import DataError, IntegrityError, connection, transaction

from proxy.models import Usage
from proxy.models.usage import Status
from proxy.usage import json_rows
from proxy.usage.entry import COLUMNS, Entry

LONGEST_ERROR = 2000
CRASHED = Status.CRASHED


def insert(entries: Sequence[Entry]) -> list[Usage]:
    """Write the entries' rows but for those whose request has one; returns the rows written.

    Where the database refuses a row, its entry gets an `error` and the others are written all the same: halves of the
    batch are tried until each refused row stands alone. Raises OperationalError if the database is not there.
    """
    if not entries:
        return []
    try:
        with transaction.atomic():
            return _insert(entries)
    except (DataError, IntegrityError) as error:
        if len(entries) == 1:
            entries[0].error = str(error)[:LONGEST_ERROR]
            return []
    middle = len(entries) // 2
    return insert(entries[:middle]) + insert(entries[middle:])


def _insert(entries: Sequence[Entry]) -> list[Usage]:
    usages: dict[str, Usage] = {}
    for entry in entries:
        if entry.usage is not None:
            usages.setdefault(entry.usage.request_id, entry.usage)
    with connection.cursor() as cursor:
        cursor.execute(_statement(), [json_rows.document(COLUMNS, map(_values_of, usages.values()))])
        written = {request_id for (request_id,) in cursor.fetchall()}
    return [usage for request_id, usage in usages.items() if request_id in written]


def correct(entries: Iterable[Entry]) -> list[tuple[Usage, Usage]]:
    """Rows of requests that were only taken for crashed, replaced by what their own process says; (new, old) for each.

    For entries that found a row: their process had seemed dead, and settled after all.
    """
    late = {entry.usage.request_id: entry.usage for entry in entries if entry.usage and entry.usage.status != CRASHED}
    crashed = Usage.objects.select_for_update().filter(request_id__in=late, status=CRASHED)
    corrected = []
    for old in crashed:
        new = late[old.request_id]
        new.pk = old.pk
        new.save(force_update=True)
        corrected.append((new, old))
    return corrected


def _values_of(usage: Usage) -> dict[str, Any]:
    values = usage.__dict__
    return {name: values[name] for name in _NAMES}


@functools.cache
def _statement() -> str:
    table = connection.ops.quote_name(Usage._meta.db_table)
    names = ", ".join(_NAMES)
    return (
        f"INSERT INTO {table} ({names}) {json_rows.select(COLUMNS)} "
        "ON CONFLICT (request_id) DO NOTHING RETURNING request_id"
    )


_NAMES = [field.attname for field in COLUMNS]
