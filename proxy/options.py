"""What a caller may ask of the gateway itself, by request headers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accounts.errors import InvalidRequest
from proxy.models.chain import StreamGuard

NAMES = frozenset({"cache-control", "x-gateway-tags", "x-gateway-timeout-s", "x-gateway-stream-guard"})
MOST_TAGS = 10
LONGEST_TAG = 64


@dataclass(frozen=True, slots=True)
class Options:
    """`tags` for the usage record, `timeout_s` until the first content, `stream_guard` "live", "buffered" or None."""

    tags: Sequence[str]
    timeout_s: float | None
    stream_guard: str | None
    reads_cache: bool
    writes_cache: bool

    @classmethod
    def parse(cls, headers: Mapping[str, str]) -> "Options":
        """Raises InvalidRequest for a value that is none. `headers`: with names in lower case, as iterating shows."""
        if NAMES.isdisjoint(headers):
            return NONE
        directives = {item.strip().lower() for item in headers.get("cache-control", "").split(",")}
        return cls(
            tags=_tags(headers.get("x-gateway-tags", "")),
            timeout_s=_seconds(headers.get("x-gateway-timeout-s", "")),
            stream_guard=_guard(headers.get("x-gateway-stream-guard", "")),
            reads_cache=not {"no-cache", "no-store"} & directives,
            writes_cache="no-store" not in directives,
        )

    def deadline_s(self, longest: float) -> float:
        """The caller's own, but no longer than the chain's."""
        return longest if self.timeout_s is None else min(self.timeout_s, longest)


def _tags(value: str) -> list[str]:
    names = (tag.strip() for tag in value.split(","))
    return ["".join(c for c in tag if c.isprintable())[:LONGEST_TAG] for tag in names if tag][:MOST_TAGS]


def _seconds(value: str) -> float | None:
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidRequest("x-gateway-timeout-s must be a number of seconds above 0.", param="x-gateway-timeout-s")
    return seconds


def _guard(value: str) -> str | None:
    if value and value not in StreamGuard.values:
        raise InvalidRequest("x-gateway-stream-guard must be live or buffered.", param="x-gateway-stream-guard")
    return value or None


NONE = Options(tags=(), timeout_s=None, stream_guard=None, reads_cache=True, writes_cache=True)
