"""What Redis, Postgres and the provider's journal say about the same tokens: read from outside, in SQL of our own."""

import contextlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from benchmarks.exactness.stage import Key, Stage, Stalled, wait_until

Subject = tuple[str, str]
BUDGETS = "{gw}:budget:"
RESERVATIONS = "{gw}:reservation:"
STREAM = "{gw}:usage"


@dataclass
class Row:
    """A usage row."""

    request_id: str
    status: str
    prompt_tokens: int
    completion_tokens: int
    quality: str
    tags: list[str]

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass
class Books:
    """Of the whole stage, or where `keys` are given of their users, keys and tenants alone. In tokens."""

    stage: Stage
    keys: list[Key] = field(default_factory=list)

    def settle(self, patience_s: float = 60.0) -> None:
        """Wait until everything is settled and recorded: no reservation, nothing in the stream. Raises Stalled."""
        redis = self.stage.redis.client

        def left() -> list[bytes]:
            return list(redis.scan_iter(match=_pattern(RESERVATIONS), count=1000))

        try:
            wait_until(lambda: not redis.xlen(STREAM) and not left(), "all requests to be settled", patience_s)
        except Stalled as stalled:
            held = [(name.decode(), redis.hgetall(name)) for name in left()[:3]]
            raise Stalled(f"{stalled}: {redis.xlen(STREAM)} in the stream, {len(left())} reserved: {held}") from None

    @property
    def subjects(self) -> set[Subject]:
        return {
            subject
            for key in self.keys
            for subject in (("tenant", str(key.tenant_id)), ("user", str(key.user_id)), ("key", key.key_id))
        }

    def counters(self) -> dict[Subject, tuple[int, int]]:
        """Spent and reserved."""
        redis = self.stage.redis.client
        found: dict[Subject, tuple[int, int]] = {}
        for name in redis.scan_iter(match=_pattern(BUDGETS), count=1000):
            scope, subject, _month = name.decode().removeprefix(BUDGETS).split(":")
            spent, reserved = redis.hmget(name, "spent", "reserved")
            found[scope, subject] = int(spent or 0), int(reserved or 0)
        return {subject: found.get(subject, (0, 0)) for subject in self.subjects}

    def rows(self) -> list[Row]:
        found = self.stage.sql.execute(
            "SELECT request_id, status, prompt_tokens, completion_tokens, quality, tags FROM proxy_usage "
            "WHERE key_id = ANY(%s)",
            [[key.key_id for key in self.keys]],
        )
        return [Row(*columns) for columns in found]

    def differences(self) -> list[str]:
        """Whatever does not agree: counters, rows and tallies, and what is still reserved."""
        counters, rows, tallies = self.counters(), self._sums_of_rows(), self._tallies()
        found = [
            f"{scope} {subject}: counter {spent:,}, rows {rows[scope, subject]:,}, tally {tallies[scope, subject]:,}"
            for (scope, subject), (spent, _) in counters.items()
            if not spent == rows[scope, subject] == tallies[scope, subject]
        ]
        return found + [
            f"{scope} {subject}: {reserved:,} tokens are reserved for ever"
            for (scope, subject), (_, reserved) in counters.items()
            if reserved
        ]

    def _sums_of_rows(self) -> Counter[Subject]:
        sums: Counter[Subject] = Counter()
        for scope, column in (("tenant", "tenant_id"), ("user", "user_id"), ("key", "key_id")):
            totals = self.stage.sql.execute(
                f"SELECT {column}, sum(prompt_tokens + completion_tokens) FROM proxy_usage "
                f"WHERE {column} IS NOT NULL GROUP BY {column}"
            )
            sums.update({(scope, str(subject)): int(total) for subject, total in totals})
        return sums

    def _tallies(self) -> Counter[Subject]:
        found = self.stage.sql.execute(
            "SELECT scope, subject, sum(prompt_tokens + completion_tokens) FROM accounts_monthlytally GROUP BY 1, 2"
        )
        return Counter({(scope, subject): int(total) for scope, subject, total in found})


class Watch(threading.Thread):
    """Samples `spent + reserved` of budgets all the while. A context manager.

    `limits`: each budget's limit; `samples`: how many were taken; `over`: those above their limit; `highest`: of all
    samples, in parts of the limit.
    """

    def __init__(self, stage: Stage, limits: dict[Subject, int]) -> None:
        super().__init__(daemon=True)
        self._redis = stage.redis.client
        self._limits = {f"{BUDGETS}{scope}:{subject}:{_month()}": limit for (scope, subject), limit in limits.items()}
        self._ended = threading.Event()
        self.samples = 0
        self.highest = 0.0
        self.over: list[str] = []

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.wait(0.002):
            with contextlib.suppress(RedisError):  # it may be away: cases take it away
                self._sample()

    def _sample(self) -> None:
        with self._redis.pipeline(transaction=False) as pipeline:
            for counter in self._limits:
                pipeline.hmget(counter, "spent", "reserved")
            counted: list[Any] = pipeline.execute()
        for (counter, limit), (spent, reserved) in zip(self._limits.items(), counted, strict=True):
            used = int(spent or 0) + int(reserved or 0)
            self.samples += 1
            self.highest = max(self.highest, used / limit)
            if used > limit:
                self.over.append(f"{counter}: {used:,} of {limit:,} tokens")


def _month() -> str:
    return time.strftime("%Y-%m", time.gmtime())


def _pattern(prefix: str) -> str:
    """Redis's own pattern for names that begin so."""
    return prefix.replace("{", "[{]") + "*"
