"""Adding recorded requests to their months' tallies, in the transaction that writes the rows."""

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter

from django.db import connection

from accounts.models import MonthlyTally
from proxy.models import Usage
from proxy.usage import json_rows

SUBJECT = ("scope", "subject", "month")
COUNTS = ("requests", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_microusd")
Sums = Mapping[tuple[str, str, str], list[int]]

_COLUMNS = json_rows.columns_of(MonthlyTally)
_counts_of = attrgetter(*COUNTS[1:])


def add(usages: Iterable[Usage], *, replaced: Iterable[Usage] = (), addresses: Mapping[str, str] | None = None) -> None:
    """Count each of these rows for its tenant, user and key; call it once for each row.

    `replaced`: what rows said before they were corrected, which is taken away again. `addresses`: the network address
    of anonymous requests, by request id.
    """
    if added := _sums(usages, addresses or {}):
        # In one order everywhere, so that two transactions can never wait for each other.
        ordered = [(*subject, *counts) for subject, counts in sorted(added.items())]
        rows = [dict(zip((*SUBJECT, *COUNTS), values, strict=True)) for values in ordered]
        with connection.cursor() as cursor:
            cursor.execute(_adding(), [json_rows.document(_COLUMNS, rows)])
    if taken := _sums(replaced, addresses or {}):
        with connection.cursor() as cursor:
            cursor.executemany(_taking_away(), [(*counts, *subject) for subject, counts in sorted(taken.items())])


def _sums(usages: Iterable[Usage], addresses: Mapping[str, str]) -> Sums:
    sums: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0] * len(COUNTS))
    for usage in usages:
        prompt, completion, cached, cost = _counts_of(usage)
        for scope, subject in _subjects(usage, addresses):
            tally = sums[scope, subject, usage.month]
            tally[0] += 1
            tally[1] += prompt
            tally[2] += completion
            tally[3] += cached
            tally[4] += cost
    return sums


def _subjects(usage: Usage, addresses: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    named = (("tenant", usage.tenant_id), ("user", usage.user_id), ("key", usage.key_id))
    yield from ((scope, str(subject)) for scope, subject in named if subject is not None)
    if address := addresses.get(usage.request_id):
        yield "ip", address


@functools.cache
def _adding() -> str:
    table = connection.ops.quote_name(MonthlyTally._meta.db_table)
    names = ", ".join(column.attname for column in _COLUMNS)
    sums = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in COUNTS)
    return (
        f"INSERT INTO {table} ({names}) {json_rows.select(_COLUMNS)} "
        f"ON CONFLICT ({', '.join(SUBJECT)}) DO UPDATE SET {sums}"
    )


@functools.cache
def _taking_away() -> str:
    """Few rows, and rarely any. Never below zero: a tally may have been deleted after they were counted."""
    table = connection.ops.quote_name(MonthlyTally._meta.db_table)
    larger = "GREATEST" if connection.vendor == "postgresql" else "MAX"
    differences = ", ".join(f"{name} = {larger}({name} - %s, 0)" for name in COUNTS)
    which = " AND ".join(f"{name} = %s" for name in SUBJECT)
    return f"UPDATE {table} SET {differences} WHERE {which}"  # noqa: S608 - our own names
