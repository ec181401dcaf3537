"""The epoch: which life of Redis the counters belong to.

An epoch begins when the counters have been rebuilt from the database, and ends when Redis is not the one it was:
empty, restarted, or a replica in its place, so that its last writes may be missing. While there is none, nothing is
admitted or settled. A process belongs to one epoch; it joins the next one by bringing along what it holds
(`Ledger.join`). Admission opens a moment after the rebuild, so that every process has joined by then.
"""

import secrets
from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

from accounts.ledger import keys
from accounts.redis import key, run_id, sync_client

# Longer than a process takes to notice: it looks once a second.
GRACE_MS = 2500


def current() -> str:
    """The id of the epoch, "" while there is none. Raises RedisError."""
    found = cast("bytes | None", sync_client().hget(keys.EPOCH, "id"))
    return found.decode() if found else ""


def age_s() -> float:
    """How long admission has been open, in seconds; below 0 while it is not. Raises RedisError."""
    opens_ms = cast("bytes | None", sync_client().hget(keys.EPOCH, "opens_ms"))
    return _now_ms() / 1000 - int(opens_ms) / 1000 if opens_ms else -1.0


def end() -> None:
    """Close the ledger; a web process will rebuild it within a second or two. Raises RedisError."""
    sync_client().delete(keys.EPOCH)


def begin(spent: dict[str, int], *, grace_ms: int) -> str:
    """Declare an epoch whose counters have spent this much (tokens by counter name); returns its id.

    For whoever holds the drainer's lock, with the stream drained. What reservations are still there is counted again.
    Raises RedisError.
    """
    redis = sync_client()
    for names in _batched(redis.scan_iter(match=_pattern("budget", "*"), count=1000)):
        redis.delete(*names)
    # Marks of settlements may be of a state that is gone: whoever settles again is counted, and the drain takes away
    # what was counted before.
    redis.delete(keys.SETTLED, keys.SWEPT)
    with redis.pipeline(transaction=False) as pipeline:
        for counter, tokens in spent.items():
            pipeline.hset(counter, "spent", tokens)
        for counter, tokens in _still_reserved().items():
            pipeline.hincrby(counter, "reserved", tokens)
        pipeline.execute()
    epoch = {"id": secrets.token_hex(8), "opens_ms": _now_ms() + grace_ms, "run_id": run_id()}
    redis.hset(keys.EPOCH, mapping=cast("dict[Any, Any]", epoch))
    return str(epoch["id"])


def _batched(names: Iterator[bytes], size: int = 1000) -> Iterator[list[bytes]]:
    while batch := list(islice(names, size)):
        yield batch


def _still_reserved() -> dict[str, int]:
    reserved: dict[str, int] = {}
    redis = sync_client()
    for name in redis.scan_iter(match=_pattern("reservation", "*"), count=1000):
        tokens, budgets = cast("list[bytes | None]", redis.hmget(name, ["tokens", "budgets"]))
        for counter in (budgets or b"").decode().split():
            reserved[counter] = reserved.get(counter, 0) + int(tokens or 0)
    return reserved


def _pattern(*parts: str) -> str:
    return key(*parts).replace("{", "[{]")


def _now_ms() -> int:
    seconds, microseconds = sync_client().time()
    return seconds * 1000 + microseconds // 1000
