"""The query of a list of comparisons: what to find, and which page of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from django.utils.dateparse import parse_date, parse_datetime

from accounts.errors import InvalidRequest
from comparisons.models.comparison import COMPARISON_ID, ComparisonQuerySet, Status

MOST_LIMIT, USUAL_LIMIT = 100, 20
TEXTS = {"q": "text", "model": "model", "tag": "tag", "author": "author", "winner": "winner", "status": "status"}
LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """`found`: the keywords of `ComparisonQuerySet.search`; `after`: the last id of the page before."""

    found: dict[str, str | datetime | None] = field(default_factory=dict)
    limit: int = USUAL_LIMIT
    after: str = ""

    @classmethod
    def parse(cls, query: Mapping[str, str], time_zone: str = "UTC") -> "Filters":
        """Raises InvalidRequest that names the parameter. Dates without a zone are days of the caller's tenant."""
        texts = {keyword: query.get(name, "").replace("\0", "")[:LONGEST_TEXT] for name, keyword in TEXTS.items()}
        if texts["status"] and texts["status"] not in Status.values:
            raise InvalidRequest(f"status must be one of {', '.join(Status.values)}.", param="status")
        zone = ZoneInfo(time_zone)
        return cls(
            found={**texts, "since": _moment(query, "since", zone), "until": _moment(query, "until", zone)},
            limit=_limit(query.get("limit", "")),
            after=_cursor(query.get("after", "")),
        )

    def of(self, comparisons: ComparisonQuerySet) -> ComparisonQuerySet:
        """Everything that is found among these, the newest first."""
        return comparisons.search(**self.found).before(self.after).order_by("-pk")  # type: ignore[arg-type]


def _cursor(value: str) -> str:
    """The comparison itself may be gone by now: ids sort by time."""
    if value and not COMPARISON_ID.fullmatch(value):
        raise InvalidRequest("after must be the id of a comparison, such as the last_id of a list.", param="after")
    return value


def _limit(value: str) -> int:
    if not value:
        return USUAL_LIMIT
    if not (value.isascii() and value.isdigit()) or not 1 <= int(value[:9]) <= MOST_LIMIT:
        raise InvalidRequest(f"limit must be a whole number from 1 to {MOST_LIMIT}.", param="limit")
    return int(value)


def _moment(query: Mapping[str, str], name: str, zone: ZoneInfo) -> datetime | None:
    value = query.get(name, "")
    if not value:
        return None
    try:
        day = parse_date(value)
        moment = datetime.combine(day, time()) if day else parse_datetime(value.replace(" ", "+"))
        moment = moment and (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise InvalidRequest(f"{name} must be a day or a time, such as 2026-11-24 or 2026-11-24T10:00:00Z.", param=name)
    return moment
