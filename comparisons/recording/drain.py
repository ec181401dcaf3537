"""From the journal to the rows, and an end for comparisons whose process died.

As in `proxy.usage.drain`, whatever is in the stream is unfinished: entries are deleted after the commit, so a crash
anywhere leaves them there, and to write one again changes nothing.
"""

import logging
import time
from typing import Any, cast

from django.db import DatabaseError, InterfaceError, OperationalError, transaction

from accounts.ledger import epoch
from accounts.ledger.keys import PROCESSES
from accounts.ledger.sweep import DEAD_AFTER_S
from accounts.redis import key, sync_client
from comparisons.models import Answer, Comparison
from comparisons.models.comparison import Status
from comparisons.recording import entry
from comparisons.recording.journal import FIELD, STREAM

logger = logging.getLogger(__name__)

BATCH = 100
LONGEST_DRAIN_S = 5.0
REFUSED = key("comparisons", "refused")


def drain() -> int:
    """Write what waits in the stream; returns how many entries.

    Raises RedisError or OperationalError when Redis or the database is not there; nothing is lost by that.
    """
    ends = time.monotonic() + LONGEST_DRAIN_S
    written = 0
    while time.monotonic() < ends:
        found: Any = sync_client().xrange(STREAM, count=BATCH)
        if not found:
            break
        for stream_id, fields in found:
            _write(stream_id, fields.get(FIELD, b""))
        sync_client().xdel(STREAM, *(stream_id for stream_id, _ in found))
        written += len(found)
    return written


def _write(stream_id: bytes, raw: bytes) -> None:
    """An entry that cannot be written is put aside, so that nothing waits behind it."""
    try:
        with transaction.atomic():
            entry.write(raw)
    except (OperationalError, InterfaceError):
        raise
    except (DatabaseError, LookupError, TypeError, ValueError):
        logger.exception(
            "The record %s of a comparison cannot be written; it is kept in %s.", stream_id.decode(), REFUSED
        )
        sync_client().xadd(REFUSED, {FIELD: raw})


def sweep() -> int:
    """End the comparisons of processes that died, with the answers they had; returns how many.

    Nobody is taken for dead before everyone had the time for a heartbeat (see `accounts.ledger.sweep`). An end that
    arrives later, from a process that was only thought dead, still counts. Raises RedisError.
    """
    if not epoch.current() or epoch.age_s() < DEAD_AFTER_S:
        return 0
    running = Comparison.objects.filter(status=Status.RUNNING)
    dead = _dead(set(running.values_list("process", flat=True)))
    left = running.filter(process__in=dead)
    if not left.exists():
        return 0
    drain()
    return sum(_end(comparison_id) for comparison_id in left.values_list("pk", flat=True))


def _dead(processes: set[str]) -> set[str]:
    """Those of them that have no heartbeat."""
    redis = sync_client()
    seconds, _ = redis.time()
    alive = cast(list[bytes], redis.zrangebyscore(PROCESSES, seconds - DEAD_AFTER_S, "+inf"))
    return processes - {name.decode() for name in alive}


def _end(comparison_id: str) -> bool:
    with transaction.atomic():
        comparison = Comparison.objects.select_for_update().filter(pk=comparison_id, status=Status.RUNNING).first()
        if comparison is None:
            return False
        answers = list(comparison.answers.all())
        comparison.end(answers)
        comparison.save(update_fields=["status", "finished_at", "cost_microusd"])
        Answer.objects.bulk_update(answers, ["status"])
    return True
