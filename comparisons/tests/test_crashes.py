"""The web process or the worker dies in mid-comparison: it ends stored all the same."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from accounts.ledger import epoch, keys
from accounts.redis import sync_client
from comparisons.models import Comparison
from comparisons.recording import drain as recording
from comparisons.recording.journal import STREAM
from comparisons.tests import sse
from comparisons.tests.conftest import PROMPT
from conftest import Cast, Catalogue, LiveGateway, wait_until
from proxy.tests.fake_provider import FakeProvider, chunks, stream, then_hang
from proxy.tests.processes import WebProcess, same_services

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def celery(tmp_path: Path) -> Iterator[Start]:
    """Start `celery -A gateway_project <arguments>` on the test's database; all are killed at the end."""
    processes = []

    def start(*arguments: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "gateway_project", *arguments],
            cwd=settings.BASE_DIR,
            env={**os.environ, **same_services(), "GATEWAY_DATA_DIR": str(tmp_path)},
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


def worker(celery: Start) -> "subprocess.Popen[bytes]":
    return celery("worker", "--concurrency", "1", "--without-mingle", "--without-gossip")


def status(comparison_id: str) -> str:
    return Comparison.objects.values_list("status", flat=True).get(pk=comparison_id)


def test_a_killed_web_process_leaves_what_was_answered(
    tmp_path: Path, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.model("fake/quick")
    catalogue.model("fake/slow")
    provider.on("quick", stream(chunks("Paris")))
    provider.on("slow", then_hang(chunks("Ly", "on")[:2]))
    body = {"models": ["fake/quick", "fake/slow"], "prompt": PROMPT, "stream": True}
    with (
        WebProcess(tmp_path, same_services()) as web,
        contextlib.suppress(httpx.TransportError),
        httpx.stream("POST", f"{web.url}/compare_models", json=body, headers=cast.alice.headers) as response,
    ):
        events = sse.read(response.iter_lines())
        assert any(event.name == "answer.done" for event in events)
        wait_until(lambda: sync_client().xlen(STREAM) > 0, "the slot to be noted")
        web.kill()
    comparison = Comparison.objects.get()
    assert comparison.status == "running"
    sync_client().zadd(keys.PROCESSES, {comparison.process: 0})  # as if its last heartbeat were long ago
    epoch.begin({}, grace_ms=-60_000)
    assert recording.sweep() == 1
    comparison.refresh_from_db()
    assert comparison.status == "interrupted"
    answers = list(comparison.answers.values_list("status", "content"))
    assert answers == [("ok", "Paris"), ("interrupted", "")]


def test_results_wait_for_a_worker(
    celery: Start, gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.demo("echo")
    celery("beat")
    first = worker(celery)

    def compare() -> str:
        body = {"models": ["demo/echo", "demo/echo"], "prompt": PROMPT}
        response = httpx.post(f"{gateway.url}/compare_models", json=body, headers=cast.alice.headers, timeout=30)
        assert response.status_code == 200, response.text
        comparison_id: str = response.json()["id"]
        return comparison_id

    one = compare()
    wait_until(lambda: status(one) == "complete", "the first worker to record it", patience_s=60)
    kill(first)
    two = compare()
    assert status(two) == "running"
    worker(celery)
    wait_until(lambda: status(two) == "complete", "the second worker to record it", patience_s=60)
    assert set(Comparison.objects.get(pk=two).answers.values_list("content", flat=True)) == {PROMPT}
