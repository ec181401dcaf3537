"""Real worker and beat processes: what happens when one of them dies, and that they do their work."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import BudgetWarning, Tenant, WarningDelivery
from accounts.redis import sync_client
from accounts.tasks import warn_of_budgets
from accounts.tests.webhook_receiver import WebhookReceiver
from conftest import Cast, wait_until
from proxy.models import Usage
from proxy.tasks import drain_usage
from proxy.tests.fake_posthog import FakePostHog
from proxy.tests.forwarder import Forwarder
from proxy.tests.processes import url_of_the_test_database
from proxy.tests.usage_events import append, event
from proxy.usage.drain import lag

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def celery(tmp_path: Path) -> Iterator[Start]:
    """Start `celery -A gateway_project <arguments>` on the test's database; all are killed at the end."""
    processes = []

    def start(*arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        ours = {"DATABASE_URL": url_of_the_test_database(), "GATEWAY_DATA_DIR": str(tmp_path), **environment}
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "gateway_project", *arguments, "--loglevel", "INFO"],
            cwd=settings.BASE_DIR,
            env={**os.environ, **ours},
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """With its children and without a warning, as a machine dies."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def worker(celery: Start, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
    """`--beat` makes it tell itself what is due, which spares starting another process where that is not the point."""
    return celery("worker", "--concurrency", "2", "--without-mingle", "--without-gossip", *arguments, **environment)


def test_events_become_rows_and_posthog_hears_of_them(celery: Start):
    with FakePostHog() as posthog:
        environment = {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": posthog.url}
        worker(celery, **environment)
        celery("beat", **environment)
        events = [event() for _ in range(50)]
        append(*events)
        wait_until(lambda: Usage.objects.count() == 50, "50 rows", patience_s=30)
        wait_until(lambda: len(posthog.events) == 50, "50 events at PostHog", patience_s=30)
    assert {each["properties"]["$ai_trace_id"] for each in posthog.events} == {each["request_id"] for each in events}


def test_a_worker_that_was_killed_is_made_up_for(celery: Start):
    celery("beat")
    first = worker(celery)
    append(event())
    wait_until(Usage.objects.exists, "the first worker's row", patience_s=30)
    events = [event() for _ in range(5000)]
    append(*events[:2500])
    wait_until(lambda: Usage.objects.count() > 1, "the worker to be in mid-work", patience_s=30)
    kill(first)
    append(*events[2500:])
    assert lag() > 0
    worker(celery)
    wait_until(lambda: lag() == 0, "the second worker to catch up", patience_s=60)
    assert Usage.objects.filter(request_id__in=[each["request_id"] for each in events]).count() == 5000
    assert Usage.objects.count() == 5001


def test_a_hint_is_enough_without_beat(celery: Start):
    append(event())
    worker(celery)
    drain_usage.delay()
    wait_until(Usage.objects.exists, "the row", patience_s=30)


@pytest.mark.parametrize("trouble", [Forwarder.refuse, Forwarder.freeze, Forwarder.black_hole])
def test_whatever_posthog_does_rows_are_written(trouble: Callable[[Forwarder], None], celery: Start):
    with FakePostHog() as posthog, Forwarder("127.0.0.1", int(posthog.url.rpartition(":")[2])) as forwarder:
        trouble(forwarder)
        worker(celery, "--beat", POSTHOG_API_KEY="phc_test", POSTHOG_HOST=f"http://127.0.0.1:{forwarder.port}")
        for batch in range(1, 4):
            append(*(event() for _ in range(10)))
            wait_until(lambda batch=batch: Usage.objects.count() == 10 * batch, "the rows", patience_s=30)  # type: ignore[misc]
    assert posthog.events == []


def test_workers_send_a_budget_warning_once(celery: Start, cast: Cast):
    with WebhookReceiver() as receiver:
        Tenant.objects.update(monthly_token_budget=100, webhook_url=receiver.url)
        usage = {"tenant_id": cast.acme.pk, "user_id": cast.alice.user.pk, "prompt_tokens": 90, "completion_tokens": 0}
        append(event(month=timezone.now().strftime("%Y-%m"), **usage))
        assert drain_usage() == 1
        worker(celery)
        worker(celery)
        for _ in range(6):
            warn_of_budgets.delay()
        wait_until(lambda: WarningDelivery.objects.exclude(delivered_at=None).exists(), "the webhook", patience_s=30)
        wait_until(lambda: not sync_client().llen("{gw}:celery:celery"), "every task to be taken", patience_s=30)
    assert len(receiver.received) == BudgetWarning.objects.count() == 1
