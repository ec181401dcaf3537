"""Writing many usage rows with one statement that says which of them are new.

The rows travel as one JSON parameter, so that no limit on parameters applies, and the database takes them apart: for
1,000 rows a fifth of the time of a multi-row VALUES, and next to no work in Python (docs/recording.md).
"""

import functools
from collections.abc import Iterable, Sequence

import orjson
from django.db import DataError, IntegrityError, connection, transaction

from proxy.models import Usage
from proxy.models.usage import Status
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
        cursor.execute(_statement(), [_document(usages.values())])
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


def _document(usages: Iterable[Usage]) -> str:
    """The rows as a JSON array of objects. Postgres reads JSON's forms; SQLite must get what Django stores there."""
    if connection.vendor == "postgresql":
        rows = [{name: usage.__dict__[name] for name in _NAMES} for usage in usages]
    else:
        rows = [
            {field.attname: field.get_db_prep_value(usage.__dict__[field.attname], connection) for field in COLUMNS}
            for usage in usages
        ]
    return orjson.dumps(rows, default=str).decode()


@functools.cache
def _statement() -> str:
    """The names in it are those of our own model, whose columns are called as its attributes."""
    table = connection.ops.quote_name(Usage._meta.db_table)
    names = ", ".join(_NAMES)
    if connection.vendor == "postgresql":
        source = f"SELECT {names} FROM json_populate_recordset(NULL::{table}, %s::json)"  # noqa: S608
    else:
        values = ", ".join(f"json_extract(value, '$.{name}')" for name in _NAMES)
        source = f"SELECT {values} FROM json_each(%s) WHERE true"  # noqa: S608
    return f"INSERT INTO {table} ({names}) {source} ON CONFLICT (request_id) DO NOTHING RETURNING request_id"


_NAMES = [field.attname for field in COLUMNS]
