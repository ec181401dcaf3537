"""Each event of the stream becomes exactly one row."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.ledger.keys import USAGE_STREAM
from accounts.limits import counter_name
from accounts.models import MonthlyTally
from accounts.redis import sync_client
from proxy.models import StreamPosition, Usage
from proxy.tests.usage_events import append, append_counted, event, request_ids
from proxy.usage import drain as drain_module
from proxy.usage.drain import drain, lag, restart_stream

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def newest_id() -> str:
    entries: Any = sync_client().xrevrange(USAGE_STREAM, count=1)
    return str(entries[0][0].decode())


def test_an_event_becomes_a_row_with_all_its_columns():
    key_id = str(uuid.uuid4())
    sent = event(key_id=key_id, created_at="2026-11-23T13:00:00.123456+01:00", attempts=[{"ms": 1}], tags=["a", "ü"])
    append(sent)
    assert drain() == 1
    row = Usage.objects.get()
    for name, value in sent.items():
        if name not in {"created_at", "key_id", "input_price_per_mtok", "output_price_per_mtok"}:
            assert getattr(row, name) == value, name
    assert row.created_at == NOON + timedelta(microseconds=123456)
    assert row.key_id == uuid.UUID(key_id)
    assert (row.input_price_per_mtok, row.output_price_per_mtok) == (Decimal("0.15"), Decimal("0.6"))


def test_a_row_is_found_by_its_key_and_its_time():
    key_id = uuid.uuid4()
    append(event(key_id=str(key_id), created_at=NOON.isoformat()), event(created_at=NOON.isoformat()))
    drain()
    assert Usage.objects.filter(key_id=key_id, created_at=NOON, streamed=True).count() == 1


def test_rows_are_written_in_the_order_of_the_stream(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drain_module, "BATCH", 10)
    events = [event() for _ in range(35)]
    append(*events)
    assert drain() == 35
    assert request_ids() == [each["request_id"] for each in events]


def test_large_entries_are_written_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drain_module, "SLICE", 3)
    monkeypatch.setattr(drain_module, "BATCH_BYTES", 2000)
    events = [event() for _ in range(20)]
    append(*events)
    assert drain() == 20
    assert request_ids() == [each["request_id"] for each in events]


def test_a_second_drain_finds_nothing_to_do():
    append(event(), event())
    assert drain() == 2
    assert drain() == 0
    assert Usage.objects.count() == 2


def test_the_lag_is_what_waits_in_the_stream():
    assert lag() == 0
    append(event(), event())
    assert lag() == 2
    drain()
    assert lag() == 0


def test_the_position_is_the_last_entry_that_was_written():
    append(event(), event())
    last_id = newest_id()
    drain()
    assert StreamPosition.objects.get(stream="usage").last_id == last_id


def test_a_stream_that_began_again_with_smaller_ids_is_read_too():
    StreamPosition.objects.create(stream="usage", last_id=f"{2**53}-0")
    restart_stream()
    append(event())
    last_id = newest_id()
    assert drain() == 1
    assert StreamPosition.objects.get(stream="usage").last_id == last_id


def test_anonymous_tokens_are_tallied_by_address():
    counter = counter_name("ip", "2001:db8::/64", "2026-11")
    append_counted(
        event(prompt_tokens=30, completion_tokens=12, tenant_id=None, user_id=None, key_id=None), 42, counter
    )
    drain()
    tally = MonthlyTally.objects.get(scope="ip")
    assert (tally.subject, tally.month, tally.tokens) == ("2001:db8::/64", "2026-11", 42)


def test_keys_that_are_missing_or_null_take_defaults_and_unknown_ones_are_ignored():
    append(
        {"request_id": "r1", "created_at": NOON.isoformat(), "month": "2026-11", "status": "crashed"},
        event(request_id="r2", tags=None, username=None, prompt_tokens=None, quality=None, of_a_later_version={"x": 1}),
    )
    assert drain() == 2
    bare, nulls = Usage.objects.order_by("id")
    assert (bare.endpoint, bare.prompt_tokens, bare.attempts, bare.key_id) == ("chat", 0, [], None)
    assert (nulls.tags, nulls.username, nulls.prompt_tokens, nulls.quality) == ([], "", 0, "reported")


def test_numbers_and_empty_lists_may_be_as_lua_writes_them():
    append(event(prompt_tokens=1e15, tags={}))
    drain()
    row = Usage.objects.get()
    assert (row.prompt_tokens, row.tags) == (10**15, [])


def test_a_name_that_is_too_long_is_cut_and_the_row_written():
    append(event(requested_model="m" * 201, error_code="e" * 5000))
    assert drain() == 1
    row = Usage.objects.get()
    assert (row.requested_model, row.error_code) == ("m" * 200, "e" * 100)
