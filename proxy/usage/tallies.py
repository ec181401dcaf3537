"""Adding recorded requests to their months' tallies, in the transaction that writes the rows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from django.db import connection

from accounts.models import MonthlyTally
from proxy.models import Usage

COUNTS = ("requests", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_microusd")


def add(usages: Iterable[Usage], *, replaced: Iterable[Usage] = (), addresses: Mapping[str, str] | None = None) -> None:
    """Count each of these rows for its tenant, user and key; call it once for each row.

    `replaced`: what rows said before they were corrected, which is taken away again. `addresses`: the network address
    of anonymous requests, by request id.
    """
    sums: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0] * len(COUNTS))
    signed = [*((usage, 1) for usage in usages), *((usage, -1) for usage in replaced)]
    for usage, sign in signed:
        counts = (sign, *(sign * getattr(usage, name) for name in COUNTS[1:]))
        for scope, subject in _subjects(usage, addresses or {}):
            tally = sums[scope, subject, usage.month]
            tally[:] = [total + count for total, count in zip(tally, counts, strict=True)]
    # In one order everywhere, so that two transactions can never wait for each other.
    rows: list[tuple[str | int, ...]] = [
        # What is below zero is taken from a tally that is there; Postgres checks the row to insert all the same.
        (*subject, *(max(0, total) for total in totals), *totals)
        for subject, totals in sorted(sums.items())
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(_statement(), rows)


def _subjects(usage: Usage, addresses: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    named = (("tenant", usage.tenant_id), ("user", usage.user_id), ("key", usage.key_id))
    yield from ((scope, str(subject)) for scope, subject in named if subject is not None)
    if address := addresses.get(usage.request_id):
        yield "ip", address


def _statement() -> str:
    table = connection.ops.quote_name(MonthlyTally._meta.db_table)
    names = ", ".join(COUNTS)
    values = ", ".join(["%s"] * (3 + len(COUNTS)))
    added = ", ".join(f"{name} = {table}.{name} + %s" for name in COUNTS)
    return (
        f"INSERT INTO {table} (scope, subject, month, {names}) VALUES ({values}) "  # noqa: S608 - our own names
        f"ON CONFLICT (scope, subject, month) DO UPDATE SET {added}"
    )
