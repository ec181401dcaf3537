"""The tasks of worker and beat, and the background that runs them on the embedded default."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import redis
from celery import current_app
from django.db import OperationalError, connections
from django.utils import timezone
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from accounts.ledger import keys
from accounts.redis import sync_client
from conftest import wait_until
from proxy import tasks
from proxy.models import Usage
from proxy.tests.usage_events import append, event
from proxy.usage.background import run_embedded

pytestmark = pytest.mark.django_db
PATIENCE_S = 10


def test_every_entry_of_the_schedule_names_a_task():
    current_app.autodiscover_tasks(force=True)
    names = {entry["task"] for entry in current_app.conf.beat_schedule.values()}
    assert {"proxy.tasks.drain_usage", "proxy.tasks.sweep_reservations", "proxy.tasks.prune_expired_tokens"} <= names
    assert names <= set(current_app.tasks)


def test_no_task_may_run_for_ever():
    redelivered_after_s = current_app.conf.broker_transport_options["visibility_timeout"]
    for name, task in current_app.tasks.items():
        if name.startswith("proxy."):
            assert 0 < (task.soft_time_limit or 0) < (task.time_limit or 0) < redelivered_after_s, name


def test_drain_usage_writes_what_waits():
    append(event(), event())
    assert tasks.drain_usage() == 2
    assert Usage.objects.count() == 2


@pytest.mark.parametrize("error", [redis.ConnectionError("Redis is away"), OperationalError("Postgres is away")])
def test_while_a_part_is_away_a_tick_is_one_line_in_the_log(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def away() -> int:
        raise error

    monkeypatch.setattr(tasks, "drain", away)
    assert tasks.drain_usage() == 0
    [record] = [record for record in caplog.records if record.name == "proxy.tasks"]
    assert str(error) in record.getMessage()
    assert record.exc_info is None


def test_the_requests_of_a_dead_process_become_rows():
    request = event(request_id="req_of_the_dead", status="ok", completion_tokens=0)
    del request["status"]
    client = sync_client()
    client.zadd(keys.PROCESSES, {"dead": 1})
    client.sadd(keys.reservations_of("dead"), "req_of_the_dead")
    client.hset(keys.reservation("req_of_the_dead"), mapping={"record": json.dumps(request), "completion_tokens": 256})
    assert tasks.sweep_reservations() == 1
    tasks.drain_usage()
    row = Usage.objects.get()
    assert (row.request_id, row.status, row.completion_tokens) == ("req_of_the_dead", "crashed", 256)


def test_expired_refresh_tokens_are_forgotten():
    now = timezone.now()
    for jti, lifetime in (("old", timedelta(days=-1)), ("new", timedelta(days=1))):
        OutstandingToken.objects.create(jti=jti, token=jti, created_at=now, expires_at=now + lifetime)
    tasks.prune_expired_tokens()
    assert [token.jti for token in OutstandingToken.objects.all()] == ["new"]


@pytest.fixture
def schedule() -> Iterator[Callable[..., None]]:
    """Put these (task, seconds) on the schedule instead of all others."""
    before = current_app.conf.beat_schedule

    def schedule(*entries: tuple[str, float]) -> None:
        current_app.conf.beat_schedule = {
            name: {"task": name, "schedule": seconds, "options": {"expires": 1}} for name, seconds in entries
        }

    yield schedule
    current_app.conf.beat_schedule = before


async def until(condition: Callable[[], bool]) -> None:
    def wait() -> None:
        try:
            wait_until(condition, "the background to do it")
        finally:
            connections.close_all()

    await asyncio.to_thread(wait)


@pytest.mark.django_db(transaction=True)
async def test_the_embedded_background_drains_again_and_again(schedule: Callable[..., None]):
    schedule(("proxy.tasks.drain_usage", 0.05))
    stop = asyncio.Event()
    background = asyncio.create_task(run_embedded(stop))
    append(event())
    await until(lambda: Usage.objects.count() == 1)
    append(event())
    await until(lambda: Usage.objects.count() == 2)
    stop.set()
    await asyncio.wait_for(background, PATIENCE_S)


@pytest.mark.django_db(transaction=True)
async def test_the_embedded_background_survives_a_task_that_fails(
    schedule: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    failures: list[int] = []

    def broken() -> int:
        failures.append(1)
        raise ValueError("a mistake of ours")

    monkeypatch.setattr("accounts.ledger.sweep", broken)
    schedule(("proxy.tasks.sweep_reservations", 0.05), ("proxy.tasks.drain_usage", 0.05))
    stop = asyncio.Event()
    background = asyncio.create_task(run_embedded(stop))
    await until(lambda: len(failures) >= 2)
    append(event())
    await until(Usage.objects.exists)
    stop.set()
    await asyncio.wait_for(background, PATIENCE_S)
    assert "a mistake of ours" in caplog.text


@pytest.mark.django_db(transaction=True)
async def test_the_embedded_background_drains_a_last_time_at_the_stop(schedule: Callable[..., None]):
    schedule(("proxy.tasks.drain_usage", 3600))
    stop = asyncio.Event()
    background = asyncio.create_task(run_embedded(stop))
    await asyncio.sleep(0)
    append(event())
    stop.set()
    await asyncio.wait_for(background, PATIENCE_S)
    await until(lambda: Usage.objects.count() == 1)
