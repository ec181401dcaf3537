"""How much a caller may: requests in any minute and at the same time, tokens in a calendar month."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from accounts.redis import key

Scope = Literal["global", "tenant", "user", "key", "ip"]
Mode = Literal["hard", "soft"]


@dataclass(frozen=True)
class RateLimit:
    """At most `limit` requests in any 60 seconds, for one subject of a scope."""

    scope: Scope
    subject: str
    limit: int

    @cached_property
    def window(self) -> str:
        """Its name in Redis."""
        return key("rate", self.scope, self.subject)


@dataclass(slots=True)
class RateState:
    """What is left of a rate limit, and when its oldest request leaves the window, or room is made (ms)."""

    limit: int
    remaining: int
    reset_ms: int

    def headers(self) -> dict[str, str]:
        """As OpenAI sends them."""
        return {
            "x-ratelimit-limit-requests": str(self.limit),
            "x-ratelimit-remaining-requests": str(self.remaining),
            "x-ratelimit-reset-requests": duration(self.reset_ms),
        }


@dataclass(frozen=True)
class ConcurrencyLimit:
    """At most `limit` requests at the same time, for one subject of a scope."""

    scope: Scope
    subject: str
    limit: int

    @cached_property
    def gate(self) -> str:
        """Its name in Redis."""
        return key("gate", self.scope, self.subject)


@dataclass(frozen=True, slots=True)
class Budget:
    """Tokens a month for one subject of a scope. `limit` None: only counted. `top_ups`: tokens added, by month."""

    scope: Scope
    subject: str
    limit: int | None
    mode: Mode = "hard"
    top_ups: dict[str, int] = field(default_factory=dict)

    def counter(self, month: str) -> str:
        """The name of its counter in Redis."""
        return counter_name(self.scope, self.subject, month)

    def limit_in(self, month: str) -> int | None:
        """The month's limit with its top-ups, which may take more away than there is; None where there is none."""
        return None if self.limit is None else max(0, self.limit + self.top_ups.get(month, 0))

    @property
    def is_hard(self) -> bool:
        """Whether requests are refused for it; a soft one only warns."""
        return self.limit is not None and self.mode == "hard"


@lru_cache(maxsize=65_536)
def counter_name(scope: str, subject: str, month: str) -> str:
    """The name in Redis of what one subject of a scope spent in one month (YYYY-MM)."""
    return key("budget", scope, subject, month)


def counter_parts(name: str) -> tuple[str, str, str]:
    """Scope, subject and month of a counter's name."""
    scope, _, rest = name.removeprefix(key("budget", "")).partition(":")
    subject, _, month = rest.rpartition(":")
    return scope, subject, month


@dataclass(frozen=True)
class Month:
    """A calendar month in a time zone."""

    zone: ZoneInfo
    year: int
    number: int

    @classmethod
    def at(cls, ms: float, zone: ZoneInfo) -> "Month":
        """The month of a moment, in milliseconds since the epoch."""
        local = datetime.fromtimestamp(ms / 1000, zone)
        return _month(zone, local.year, local.month)

    @cached_property
    def name(self) -> str:
        """YYYY-MM."""
        return f"{self.year:04}-{self.number:02}"

    def __str__(self) -> str:
        return self.name

    @property
    def start(self) -> datetime:
        return datetime(self.year, self.number, 1, tzinfo=self.zone)

    @property
    def end(self) -> datetime:
        """The first moment of the next month."""
        year, number = divmod(self.year * 12 + self.number, 12)
        return datetime(year, number + 1, 1, tzinfo=self.zone)

    @cached_property
    def start_ms(self) -> int:
        return int(self.start.timestamp() * 1000)

    @cached_property
    def end_ms(self) -> int:
        return int(self.end.timestamp() * 1000)


@lru_cache(maxsize=256)
def _month(zone: ZoneInfo, year: int, number: int) -> Month:
    """The same object for all requests of a month: it remembers its name and its bounds."""
    return Month(zone, year, number)


def duration(ms: float) -> str:
    """A duration as OpenAI's headers write it: 250ms, 1s, 6m0s."""
    if ms < 1000:
        return f"{max(0, round(ms))}ms"
    seconds = -(-int(ms) // 1000)
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}m{rest}s" if minutes else f"{seconds}s"
