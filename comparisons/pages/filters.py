"""What somebody looks for in the history; the same in its address, in the form and on the way through the results."""

from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, timedelta
from typing import Self

from django.http import QueryDict
from django.utils import timezone
from django.utils.http import urlencode

from comparisons.models.comparison import ComparisonQuerySet

LONGEST = 200
YEARS = range(2000, 3000)


@dataclass(frozen=True, slots=True)
class Filters:
    """Texts as they stand in the address; `since` and `until` are days of the tenant's time zone, both included."""

    q: str = ""
    model: str = ""
    tag: str = ""
    author: str = ""
    winner: str = ""
    status: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def read(cls, query: QueryDict) -> Self:
        return cls(**{field.name: _clean(query.get(field.name, "")) for field in fields(cls)})

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    @property
    def query(self) -> str:
        """The address's query: `model=demo%2Fecho&tag=math`; "" where nothing is looked for."""
        return urlencode(self.active)

    @property
    def export_query(self) -> str:
        """The same for the API, to which `until` is a moment that is no longer included."""
        until = _midnight(self.until, days_later=1)
        return urlencode({**self.active, **({"until": until.isoformat()} if until else {})})

    @property
    def active(self) -> dict[str, str]:
        return {name: value for name, value in asdict(self).items() if value}

    def apply(self, comparisons: ComparisonQuerySet) -> ComparisonQuerySet:
        return comparisons.search(
            text=self.q,
            model=self.model,
            tag=self.tag,
            author=self.author,
            winner=self.winner,
            status=self.status,
            since=_midnight(self.since),
            until=_midnight(self.until, days_later=1),
        )


def _clean(value: str) -> str:
    return value.replace("\0", "").strip()[:LONGEST]


def _midnight(day: str, days_later: int = 0) -> datetime | None:
    """None for what is no day: half a date is on its way to be one, and no error."""
    try:
        midnight = datetime.combine(date.fromisoformat(day), datetime.min.time())
    except ValueError:
        return None
    if midnight.year not in YEARS:
        return None
    return timezone.make_aware(midnight + timedelta(days=days_later))
