"""From the stream of usage events to rows.

The stream is the queue of record. Each batch is one transaction: the rows, the dead letters, and the position (the last
stream id). Only after the commit are the entries deleted from the stream, so a crash anywhere leaves them there. The
next drain finds them again, up to the position: they are done, and only have to go. A stream that begins again, as
after a loss of Redis, begins with the position at its start (`restart_stream`).

An event can come twice, as one of another stream, when Redis was lost. The row is written once; what the second one
added to the counters is taken away again.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from accounts.ledger.keys import DRAINED, USAGE_STREAM
from accounts.limits import counter_parts
from accounts.redis import sync_client
from proxy.models import DeadLetter, StoredBody, StreamPosition, Usage
from proxy.usage import effects, rows, tallies
from proxy.usage.entry import Entry, place_of

logger = logging.getLogger(__name__)

BATCH = 1000
SLICE = 100
BATCH_BYTES = 16 * 1024 * 1024
LONGEST_DRAIN_S = 5.0
POSITION = "usage"
START = "0-0"
ADVISORY_LOCK = 0x67770001  # "gw", 1: one drainer at a time, over all processes
SILENCE = "30s"  # longer than Redis may take within a batch


def drain() -> int:
    """Write what waits in the stream; returns how many rows were written.

    Ends when the stream is empty, when another drainer is at it, or after a few seconds: the next tick goes on.
    Raises RedisError or OperationalError when Redis or the database is not there; nothing is lost by that.
    """
    ends = time.monotonic() + LONGEST_DRAIN_S
    written = 0
    while lag() and time.monotonic() < ends:
        batch = _drain_batch()
        if batch is None:
            break
        written += batch
    return written


def lag() -> int:
    """How many events wait in the stream. Raises RedisError."""
    return int(sync_client().xlen(USAGE_STREAM))


def restart_stream() -> None:
    """The stream is empty, and its next entries may have smaller ids: for whoever holds the drainer's lock."""
    StreamPosition.objects.filter(stream=POSITION).update(last_id=START)
    sync_client().delete(DRAINED)


def retry(dead_letters: QuerySet[DeadLetter]) -> int:
    """Try dead letters again, after whatever was wrong is mended; returns how many are now recorded, and gone."""
    with transaction.atomic(durable=True):
        wait_for_drainer()
        letters = {letter.stream_id: letter for letter in dead_letters.select_for_update()}
        entries = [Entry.read(letter.stream_id, letter.payload.encode()) for letter in letters.values()]
        written, _ = _record(entries)
        for entry in entries:
            if entry.error:
                DeadLetter.objects.filter(stream_id=entry.stream_id).update(error=entry.error)
        recorded = [entry.stream_id for entry in entries if not entry.error]
        DeadLetter.objects.filter(stream_id__in=recorded).delete()
    _note_effects(written)
    return len(recorded)


def _drain_batch() -> int | None:
    """Write one batch; returns how many rows, or None where another drainer holds the lock."""
    with transaction.atomic(durable=True):
        if not _is_sole_drainer():
            return None
        entries = _read_batch()
        if not entries:
            return 0
        position = _position()
        fresh = [entry for entry in entries if entry.place > place_of(position.last_id)]
        written, corrections = _record(fresh)
        _bury([entry for entry in fresh if entry.error])
        if fresh:
            position.last_id = fresh[-1].stream_id
            position.save(update_fields=["last_id"])
    _take_away(entries, position.last_id, corrections)
    _note_effects(written)
    return len(written)


def _record(entries: list[Entry]) -> tuple[list[Usage], dict[str, int]]:
    """The rows written, and by how much each counter in Redis has to be corrected."""
    written = rows.insert([entry for entry in entries if entry.usage])
    due = {id(usage): usage.total_tokens for usage in written}
    known = [entry for entry in entries if entry.usage and not entry.error and id(entry.usage) not in due]
    corrected = rows.correct(known) if known else []
    due.update({id(usage): usage.total_tokens - old.total_tokens for usage, old in corrected})
    recorded = [*written, *(usage for usage, _ in corrected)]
    StoredBody.objects.store(entry.body for entry in entries if entry.body and not entry.error)
    tallies.add(recorded, replaced=[old for _, old in corrected], addresses=_addresses(entries))
    return recorded, _corrections(entries, due)


def _corrections(entries: Iterable[Entry], due: dict[int, int]) -> dict[str, int]:
    """What was counted for an entry and what was due for it must be the same; returns what is missing, by counter.

    `due`: tokens by the identity of the entry's usage; nothing is due for an event that came before.
    """
    missing: Counter[str] = Counter()
    for entry in entries:
        if entry.usage is None or entry.error or entry.counted is None:
            continue
        for counter in entry.counters:
            missing[counter] += due.get(id(entry.usage), 0) - entry.counted
    return {counter: tokens for counter, tokens in missing.items() if tokens}


def _addresses(entries: Iterable[Entry]) -> dict[str, str]:
    """The addresses of anonymous requests: no column names them, but their counters do."""
    addresses = {}
    for entry in entries:
        if entry.usage is not None and entry.usage.tenant_id is None:
            for scope, subject, _month in map(counter_parts, entry.counters):
                if scope == "ip":
                    addresses[entry.usage.request_id] = subject
    return addresses


def _take_away(entries: list[Entry], position: str, corrections: dict[str, int]) -> None:
    """Delete what is done, and say how far the database is: what web processes keep until then, they may forget."""
    with sync_client().pipeline(transaction=True) as pipeline:
        for counter, tokens in corrections.items():
            pipeline.hincrby(counter, "spent", tokens)
        pipeline.xdel(USAGE_STREAM, *(entry.stream_id for entry in entries))
        pipeline.set(DRAINED, position)
        pipeline.execute()


def _position() -> StreamPosition:
    return StreamPosition.objects.get_or_create(stream=POSITION)[0]


def _is_sole_drainer() -> bool:
    """Take the lock until the transaction ends. SQLite needs none: its transactions write one at a time.

    Postgres ends the transaction itself where our machine has died and will never say another word.
    """
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(%s), set_config('idle_in_transaction_session_timeout', %s, true)",
            [ADVISORY_LOCK, SILENCE],
        )
        return bool(cursor.fetchone()[0])


def wait_for_drainer() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])


def _read_batch() -> list[Entry]:
    """In slices, and fewer where they are large: prompts and answers may travel in them."""
    entries: list[Entry] = []
    size, start = 0, "-"
    while len(entries) < BATCH and size < BATCH_BYTES:
        slice_: Any = sync_client().xrange(USAGE_STREAM, min=start, count=min(SLICE, BATCH - len(entries)))
        entries += [Entry.from_stream(stream_id, fields) for stream_id, fields in slice_]
        size += sum(len(value) for _, fields in slice_ for value in fields.values())
        if len(slice_) < SLICE:
            break
        start = f"({entries[-1].stream_id}"
    return entries


def _bury(refused: list[Entry]) -> None:
    for entry in refused:
        logger.error("A usage event became a dead letter (%s): %s", entry.stream_id, entry.error)
    DeadLetter.objects.bulk_create(
        [DeadLetter(stream_id=entry.stream_id, payload=entry.text, error=entry.error) for entry in refused],
        ignore_conflicts=True,
    )


def _note_effects(written: list[Usage]) -> None:
    effects.note_keys_in_use(written)
    effects.flag_providers(written)
