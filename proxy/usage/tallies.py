"""Adding recorded requests to their months' tallies, in the transaction that writes the rows."""

from collections import defaultdict
from collections.abc import Iterable

from django.db import connection

from accounts.models import MonthlyTally
from proxy.models import Usage

COUNTS = ("requests", "prompt_tokens", "completion_tokens", "cached_tokens", "cost_microusd")


def add(usages: Iterable[Usage]) -> None:
    """Count each of these rows for its tenant, user and key; call it once for each row."""
    sums: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0] * len(COUNTS))
    for usage in usages:
        counts = (1, *(getattr(usage, name) for name in COUNTS[1:]))
        for scope, subject in (("tenant", usage.tenant_id), ("user", usage.user_id), ("key", usage.key_id)):
            if subject is not None:
                tally = sums[scope, str(subject), usage.month]
                tally[:] = [total + count for total, count in zip(tally, counts, strict=True)]
    # In one order everywhere, so that two transactions can never wait for each other.
    rows: list[tuple[str | int, ...]] = [(*subject, *totals) for subject, totals in sorted(sums.items())]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(_statement(), rows)


def _statement() -> str:
    table = connection.ops.quote_name(MonthlyTally._meta.db_table)
    names = ", ".join(COUNTS)
    values = ", ".join(["%s"] * (3 + len(COUNTS)))
    added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in COUNTS)
    return (
        f"INSERT INTO {table} (scope, subject, month, {names}) VALUES ({values}) "  # noqa: S608 - our own names
        f"ON CONFLICT (scope, subject, month) DO UPDATE SET {added}"
    )
