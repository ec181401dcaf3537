"""Each event of the stream becomes exactly one row, whatever breaks on the way."""

import json
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.db import OperationalError, connection, transaction

from accounts.ledger.keys import USAGE_STREAM
from accounts.limits import counter_name
from accounts.models import APIKey, ConfigurationVersion, MonthlyTally
from accounts.redis import sync_client
from accounts.tests.ledgers import counted
from conftest import Cast
from proxy.models import DeadLetter, Provider, StreamPosition, Usage
from proxy.tests.usage_events import append, append_counted, event
from proxy.usage import drain as drain_module
from proxy.usage.drain import ADVISORY_LOCK, drain, lag, restart_stream, retry

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def request_ids() -> list[str]:
    return list(Usage.objects.order_by("id").values_list("request_id", flat=True))


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


def test_a_request_that_is_reported_twice_keeps_its_first_row():
    first = event(prompt_tokens=1)
    again = {**first, "prompt_tokens": 2}
    append(first, again)
    assert drain() == 1
    append(again, event())
    assert drain() == 1
    assert Usage.objects.get(request_id=first["request_id"]).prompt_tokens == 1
    assert lag() == 0


def test_the_lag_is_what_waits_in_the_stream():
    assert lag() == 0
    append(event(), event())
    assert lag() == 2
    drain()
    assert lag() == 0


def test_a_crash_between_commit_and_deletion_leaves_no_row_twice(monkeypatch: pytest.MonkeyPatch):
    def lost(*args: object, **kwargs: object) -> int:
        raise redis.ConnectionError("Redis went away")

    append(event(), event(), "not JSON")
    with monkeypatch.context() as patch:
        patch.setattr(type(sync_client()), "pipeline", lost)
        with pytest.raises(redis.ConnectionError):
            drain()
    before = request_ids()
    position = StreamPosition.objects.get(stream="usage").last_id
    assert len(before) == 2
    assert lag() == 3
    assert drain() == 0
    assert request_ids() == before
    assert DeadLetter.objects.count() == 1
    assert lag() == 0
    assert StreamPosition.objects.get(stream="usage").last_id == position


def test_a_crash_before_the_commit_leaves_everything_in_the_stream(monkeypatch: pytest.MonkeyPatch):
    def lost(*args: object, **kwargs: object) -> None:
        raise OperationalError("the database went away")

    append(event(), "not JSON")
    with monkeypatch.context() as patch:
        patch.setattr(StreamPosition, "save", lost)
        with pytest.raises(OperationalError):
            drain()
    assert Usage.objects.count() == DeadLetter.objects.count() == 0
    assert lag() == 2
    assert drain() == 1
    assert DeadLetter.objects.count() == 1


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


def test_an_event_that_came_before_is_taken_out_of_the_counters_again():
    counter = counter_name("user", "1", "2026-11")
    once = event(prompt_tokens=30, completion_tokens=12)
    for _ in range(2):
        append_counted(once, 42, counter)
        drain()
    assert request_ids() == [once["request_id"]]
    assert counted(counter) == (42, 0)


def test_an_event_that_stands_twice_in_one_batch_counts_once():
    counter = counter_name("user", "1", "2026-11")
    once = event(prompt_tokens=30, completion_tokens=12)
    append_counted(once, 42, counter)
    append_counted(once, 42, counter)
    assert drain() == 1
    assert counted(counter) == (42, 0)


@pytest.mark.parametrize("together", [True, False])
def test_a_request_that_only_seemed_to_have_crashed_is_corrected(*, together: bool):
    counter = counter_name("user", "7", "2026-11")
    late = event(status="ok", user_id=7, prompt_tokens=30, completion_tokens=12)
    append_counted({**late, "status": "crashed", "completion_tokens": 0}, 30, counter)
    if not together:
        drain()
    append_counted(late, 12, counter)
    drain()
    row, tally = Usage.objects.get(), MonthlyTally.objects.get(scope="user", subject="7")
    assert (row.status, row.total_tokens) == ("ok", 42)
    assert (tally.requests, tally.tokens) == (1, 42)
    assert counted(counter) == (42, 0)


def test_a_request_that_used_less_than_its_crash_was_billed_is_corrected():
    counter = counter_name("user", "7", "2026-11")
    late = event(status="ok", user_id=7, prompt_tokens=5, completion_tokens=2)
    append_counted({**late, "status": "crashed", "prompt_tokens": 30, "completion_tokens": 12}, 42, counter)
    drain()
    append_counted(late, -35, counter)
    drain()
    assert Usage.objects.get().total_tokens == 7
    assert MonthlyTally.objects.get(scope="user", subject="7").tokens == 7
    assert counted(counter) == (7, 0)


def test_a_crash_that_is_reported_late_changes_nothing():
    counter = counter_name("user", "7", "2026-11")
    done = event(status="ok", user_id=7, prompt_tokens=30, completion_tokens=12)
    append_counted(done, 42, counter)
    append_counted({**done, "status": "crashed", "completion_tokens": 0}, 30, counter)
    drain()
    assert Usage.objects.get().status == "ok"
    assert counted(counter) == (42, 0)


def test_anonymous_tokens_are_tallied_by_address():
    counter = counter_name("ip", "2001:db8::/64", "2026-11")
    append_counted(
        event(prompt_tokens=30, completion_tokens=12, tenant_id=None, user_id=None, key_id=None), 42, counter
    )
    drain()
    tally = MonthlyTally.objects.get(scope="ip")
    assert (tally.subject, tally.month, tally.tokens) == ("2001:db8::/64", "2026-11", 42)


@pytest.mark.django_db(transaction=True)
def test_drainers_at_work_together_write_each_row_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drain_module, "BATCH", 20)
    events = [event() for _ in range(400)]
    append(*events)
    written: list[int] = []

    def work() -> None:
        try:
            while lag():
                written.append(drain())
        finally:
            connection.close()

    drainers = [threading.Thread(target=work) for _ in range(4)]
    for drainer in drainers:
        drainer.start()
    for drainer in drainers:
        drainer.join(60)
    assert sum(written) == 400
    assert sorted(request_ids()) == sorted(each["request_id"] for each in events)


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_a_drainer_leaves_the_stream_to_the_one_at_work():
    holds, release = threading.Event(), threading.Event()

    def other() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
            holds.set()
            release.wait(10)
        connection.close()

    thread = threading.Thread(target=other)
    thread.start()
    assert holds.wait(10)
    append(event())
    assert drain() == 0
    assert lag() == 1
    release.set()
    thread.join(10)
    assert drain() == 1


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


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param("not JSON", id="no JSON"),
        pytest.param("[1, 2]", id="no object"),
        pytest.param("", id="empty"),
        pytest.param(b"\xff\x00\xfe", id="no text"),
        pytest.param('{"request_id": "\\ud800"}', id="lone surrogate"),
        pytest.param(event(request_id=None), id="no request id"),
        pytest.param(event(request_id="r" * 41), id="request id too long"),
        pytest.param(event(month="November 2026"), id="month too long"),
        pytest.param(event(created_at="yesterday"), id="no time"),
        pytest.param(event(created_at="2026-11-23T12:00:00"), id="time without offset"),
        pytest.param(event(created_at="0001-01-01T00:00:00+14:00"), id="time before time"),
        pytest.param(event(prompt_tokens=-1), id="negative tokens"),
        pytest.param(event(latency_ms=2**31), id="number too large"),
        pytest.param(event(prompt_tokens=2**63), id="tokens too many"),
        pytest.param(event(prompt_tokens=1.5), id="half a token"),
        pytest.param(event(prompt_tokens="many"), id="tokens as a word"),
        pytest.param(event(prompt_tokens=True), id="tokens as a truth"),
        pytest.param(event(streamed="yes"), id="truth as a word"),
        pytest.param(event(key_id="the first"), id="no UUID"),
        pytest.param(event(username="a\0b"), id="NUL"),
        pytest.param(event(username=["alice"]), id="name as a list"),
        pytest.param(event(input_price_per_mtok="cheap"), id="price as a word"),
        pytest.param(event(input_price_per_mtok="NaN"), id="price NaN"),
        pytest.param(event(output_price_per_mtok="-1"), id="negative price"),
        pytest.param(event(attempts=["openai"]), id="attempts as words"),
        pytest.param(event(tags="nightly"), id="tags as a word"),
    ],
)
def test_an_event_that_cannot_be_a_row_becomes_a_dead_letter_and_blocks_nothing(poison: dict[str, Any] | str | bytes):
    before, after = event(), event()
    append(before, poison, after)
    assert drain() == 2
    assert request_ids() == [before["request_id"], after["request_id"]]
    letter = DeadLetter.objects.get()
    assert letter.error
    assert lag() == 0


def test_a_dead_letter_keeps_the_whole_event_and_says_what_is_wrong():
    append('{"request_id": "r1", "prompt_tokens": -1, "created_at": ')
    append(event(request_id="r2", prompt_tokens=-1))
    drain()
    broken, negative = DeadLetter.objects.order_by("id")
    assert broken.payload == '{"request_id": "r1", "prompt_tokens": -1, "created_at": '
    assert "JSON" in broken.error
    assert '"request_id": "r2"' in negative.payload
    assert "prompt_tokens" in negative.error


def test_an_entry_of_another_kind_becomes_a_dead_letter():
    sync_client().xadd(USAGE_STREAM, {"something": "else"})
    drain()
    assert DeadLetter.objects.count() == 1
    assert lag() == 0


@pytest.mark.services
def test_rows_that_only_postgres_refuses_are_sorted_out_of_their_batch():
    events = [event(tags=["a\0b"] if number in {0, 7, 99} else []) for number in range(100)]
    append(*events)
    assert drain() == 97
    assert request_ids() == [each["request_id"] for each in events if not each["tags"]]
    refused = [each["request_id"] for each in events if each["tags"]]
    letters = list(DeadLetter.objects.order_by("id"))
    assert [request_id in letter.payload for request_id, letter in zip(refused, letters, strict=True)] == [True] * 3
    assert "Unicode" in letters[0].error
    assert lag() == 0


def test_a_dead_letter_that_was_mended_is_recorded_and_gone():
    mended, hopeless = event(prompt_tokens=-1), event(prompt_tokens=-2)
    append(mended, hopeless)
    drain()
    letter = DeadLetter.objects.order_by("id")[0]
    letter.payload = letter.payload.replace('"prompt_tokens": -1', '"prompt_tokens": 1')
    letter.save()
    assert retry(DeadLetter.objects.all()) == 1
    assert request_ids() == [mended["request_id"]]
    assert hopeless["request_id"] in DeadLetter.objects.get().payload


def test_a_dead_letter_whose_request_has_a_row_goes_without_a_second_one():
    recorded = event()
    append(recorded)
    drain()
    DeadLetter.objects.create(stream_id="1-1", payload=json.dumps(recorded), error="the database was being upgraded")
    assert retry(DeadLetter.objects.all()) == 1
    assert request_ids() == [recorded["request_id"]]
    assert not DeadLetter.objects.exists()


def test_a_key_was_last_used_when_its_newest_request_began(cast: Cast):
    key = cast.alice.key_row
    version = ConfigurationVersion.current()
    times = [NOON, NOON + timedelta(seconds=9), NOON + timedelta(seconds=5)]
    append(*(event(key_id=str(key.pk), created_at=time.isoformat()) for time in times))
    drain()
    key.refresh_from_db()
    assert key.last_used_at == NOON + timedelta(seconds=9)
    append(event(key_id=str(key.pk), created_at=NOON.isoformat()))
    drain()
    key.refresh_from_db()
    assert key.last_used_at == NOON + timedelta(seconds=9)
    assert not APIKey.objects.filter(last_used_at__isnull=False).exclude(pk=key.pk).exists()
    assert ConfigurationVersion.current() == version


def attempt(provider: str, code: str | None) -> dict[str, Any]:
    return {"model": f"{provider}/m", "provider": provider, "status": 401 if code else 200, "code": code, "ms": 5}


@pytest.fixture
def drained() -> Callable[..., Provider]:
    """Drain requests of one provider, each (minutes after noon, error code); returns the provider."""
    Provider.objects.update_or_create(name="openai", defaults={"kind": "openai"})
    Provider.objects.update_or_create(name="groq", defaults={"kind": "groq"})

    def drain_requests(*requests: tuple[int, str | None]) -> Provider:
        for minutes, code in requests:
            at = NOON + timedelta(minutes=minutes)
            append(event(created_at=at.isoformat(), attempts=[attempt("openai", code), attempt("groq", None)]))
        drain()
        return Provider.objects.get(name="openai")

    return drain_requests


def test_a_provider_that_refuses_our_credential_is_flagged(drained: Callable[..., Provider]):
    version = ConfigurationVersion.current()
    provider = drained((0, None), (1, "provider_credential_rejected"), (2, "provider_credential_rejected"))
    assert "credential" in provider.flag
    assert provider.flagged_at == NOON + timedelta(minutes=2)
    assert Provider.objects.get(name="groq").flag == ""
    assert ConfigurationVersion.current() == version


def test_a_later_answer_takes_the_flag_away_and_an_earlier_one_does_not(drained: Callable[..., Provider]):
    drained((5, "provider_credential_rejected"))
    assert drained((4, None)).flag
    assert drained((6, "timeout")).flag
    provider = drained((7, None))
    assert (provider.flag, provider.flagged_at) == ("", None)


def test_the_flag_follows_the_last_word_within_a_batch(drained: Callable[..., Provider]):
    assert drained((1, "provider_credential_rejected"), (2, None)).flag == ""
    assert drained((3, None), (4, "provider_credential_rejected")).flag
