"""Three books about the same tokens: the live counters in Redis, the usage rows, and the monthly tallies.

The counters are ahead of the rows by the events that wait in the stream, and by nothing else.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Sum

from accounts.ledger.keys import USAGE_STREAM
from accounts.limits import counter_parts
from accounts.models import MonthlyTally
from accounts.redis import key, sync_client
from proxy.models import Usage
from proxy.usage.entry import Entry

# A scope of the books, and the column of a usage row that names its subject.
SUBJECTS = {"tenant": "tenant_id", "user": "user_id", "key": "key_id"}

Subject = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """One subject whose books do not agree, in tokens. `counter` is without what waits in the stream.

    None where counters were not looked at.
    """

    scope: str
    subject: str
    month: str
    counter: int | None
    rows: int
    tally: int

    def __str__(self) -> str:
        counter = "" if self.counter is None else f"counter {self.counter:,}, "
        return f"{self.scope} {self.subject}, {self.month}: {counter}rows {self.rows:,}, tally {self.tally:,} tokens"


def differences(month: str, *, with_counters: bool = True) -> list[Difference]:
    """Everyone whose books for this month (YYYY-MM) do not agree. Raises RedisError, DatabaseError."""
    waiting, counters = (_waiting(month), _counters(month)) if with_counters else (Counter(), Counter())
    rows, tallies = _rows(month), _tallies(month)
    found = []
    for subject in sorted({*waiting, *counters, *rows, *tallies}):
        counter = counters[subject] - waiting[subject] if with_counters else None
        if rows[subject] != tallies[subject] or counter not in {None, rows[subject]}:
            found.append(Difference(*subject, month, counter, rows[subject], tallies[subject]))
    return found


def _counters(month: str) -> Counter[Subject]:
    spent: Counter[Subject] = Counter()
    for name in sync_client().scan_iter(match=key("budget", "*", month).replace("{", "[{]")):
        scope, subject, _month = counter_parts(name.decode())
        if scope in SUBJECTS:  # anonymous callers have a counter, but no row names their address
            spent[scope, subject] = int(sync_client().hget(name, "spent") or 0)
    return spent


def _waiting(month: str) -> Counter[Subject]:
    entries: Any = sync_client().xrange(USAGE_STREAM)
    tokens: Counter[Subject] = Counter()
    for entry in (Entry.from_stream(stream_id, fields) for stream_id, fields in entries):
        for scope, subject, counted_in in map(counter_parts, entry.counters):
            if scope in SUBJECTS and counted_in == month:
                tokens[scope, subject] += entry.counted or 0
    return tokens


def _rows(month: str) -> Counter[Subject]:
    tokens: Counter[Subject] = Counter()
    for scope, column in SUBJECTS.items():
        rows = Usage.objects.filter(month=month).exclude(**{column: None}).order_by().values_list(column)
        for subject, total in rows.annotate(tokens=Sum(F("prompt_tokens") + F("completion_tokens"))):
            tokens[scope, str(subject)] = total
    return tokens


def _tallies(month: str) -> Counter[Subject]:
    tallies = MonthlyTally.objects.filter(month=month, scope__in=SUBJECTS)
    return Counter({(tally.scope, tally.subject): tally.tokens for tally in tallies})
