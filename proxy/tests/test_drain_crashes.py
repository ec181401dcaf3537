"""No crash of the drain, and no other drainer beside it, loses a row or writes one twice."""

import threading

import pytest
import redis
from django.db import OperationalError, connection, transaction

from accounts.redis import sync_client
from proxy.models import DeadLetter, StreamPosition, Usage
from proxy.tests.usage_events import append, event, request_ids
from proxy.usage import drain as drain_module
from proxy.usage.drain import ADVISORY_LOCK, drain, lag

pytestmark = pytest.mark.django_db


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
