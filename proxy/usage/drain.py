"""From the stream of usage events to rows.

The stream is the queue of record. Each batch is one transaction: the rows, the dead letters, and the last stream id.
Only after the commit are the entries deleted from the stream, so a crash anywhere leaves them there, and the next
drain finds them again: their rows exist, and are not written twice. It therefore always reads from the stream's start,
never from the last id: whatever is in the stream is unfinished, also when Redis was lost and the ids of a new stream
are smaller because a clock was set back. The last id is for whoever adds up what the rows do not have yet.
"""

import logging
import time
from collections.abc import Iterable
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from accounts.ledger.keys import USAGE_STREAM
from accounts.redis import sync_client
from proxy.models import DeadLetter, StreamPosition, Usage
from proxy.usage import effects, rows, tallies
from proxy.usage.entry import FIELD, Entry

logger = logging.getLogger(__name__)

BATCH = 1000
LONGEST_DRAIN_S = 5.0
POSITION = "usage"
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


def retry(dead_letters: QuerySet[DeadLetter]) -> int:
    """Try dead letters again, after whatever was wrong is mended; returns how many are now recorded, and gone."""
    with transaction.atomic(durable=True):
        _wait_for_drainer()
        letters = {letter.stream_id: letter for letter in dead_letters.select_for_update()}
        entries = [Entry.read(letter.stream_id, letter.payload.encode()) for letter in letters.values()]
        written = _write(entries)
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
        written = _write(entries)
        _bury([entry for entry in entries if entry.error])
        _move_position(entries[-1].stream_id, anything_new=bool(written))
    sync_client().xdel(USAGE_STREAM, *(entry.stream_id for entry in entries))
    _note_effects(written)
    return len(written)


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


def _wait_for_drainer() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])


def _read_batch() -> list[Entry]:
    found: Any = sync_client().xrange(USAGE_STREAM, count=BATCH)
    return [Entry.read(stream_id.decode(), fields.get(FIELD, b"")) for stream_id, fields in found]


def _write(entries: Iterable[Entry]) -> list[Usage]:
    """The rows that this transaction is the first to write. Whatever must count each request once belongs in here."""
    written = rows.insert([entry for entry in entries if entry.usage])
    tallies.add(written)
    return written


def _bury(refused: list[Entry]) -> None:
    for entry in refused:
        logger.error("A usage event became a dead letter (%s): %s", entry.stream_id, entry.error)
    DeadLetter.objects.bulk_create(
        [DeadLetter(stream_id=entry.stream_id, payload=entry.text, error=entry.error) for entry in refused],
        ignore_conflicts=True,
    )


def _move_position(last_id: str, *, anything_new: bool) -> None:
    """Forward; backward only for new rows of a stream that began again with smaller ids."""
    position, _created = StreamPosition.objects.get_or_create(stream=POSITION)
    if anything_new or _order(last_id) > _order(position.last_id):
        position.last_id = last_id
        position.save(update_fields=["last_id"])


def _order(stream_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = stream_id.partition("-")
    return int(milliseconds), int(sequence)


def _note_effects(written: list[Usage]) -> None:
    effects.note_keys_in_use(written)
    effects.flag_providers(written)
