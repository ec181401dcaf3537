"""Which comparisons and votes a leaderboard counts."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Self

from django.http import QueryDict
from django.utils import timezone
from django.utils.http import urlencode

from comparisons.models import Comparison
from comparisons.models.comparison import ComparisonQuerySet

PERIODS = {
    "7": "The last 7 days",
    "30": "The last 30 days",
    "90": "The last 90 days",
    "365": "The last year",
    "": "All time",
}
LONGEST_TAG = 64


@dataclass(frozen=True, slots=True)
class Scope:
    """`period`: the last so many days. `votes`: `blind` for those alone whose voters did not see the names."""

    tenant_id: int
    tag: str = ""
    period: str = ""
    votes: str = ""

    @classmethod
    def read(cls, tenant_id: int, query: QueryDict) -> Self:
        """As the address says it; what makes no sense there is left out."""
        period, votes = query.get("period", ""), query.get("votes", "")
        return cls(
            tenant_id,
            tag=query.get("tag", "").replace("\0", "").strip()[:LONGEST_TAG],
            period=period if period in PERIODS else "",
            votes="blind" if votes == "blind" else "",
        )

    @property
    def is_blind(self) -> bool:
        return self.votes == "blind"

    @property
    def is_narrowed(self) -> bool:
        return bool(self.tag or self.period or self.votes)

    @property
    def query(self) -> str:
        """The address's query: `tag=math&period=30`."""
        return urlencode({name: value for name, value in asdict(self).items() if value and name != "tenant_id"})

    def comparisons(self) -> ComparisonQuerySet:
        since = timezone.now() - timedelta(days=int(self.period)) if self.period else None
        return Comparison.objects.of_tenant(self.tenant_id).search(tag=self.tag, since=since).order_by()
