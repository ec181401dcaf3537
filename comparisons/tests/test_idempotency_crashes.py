"""`Idempotency-Key` with several web processes, one of which may die in mid-comparison."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from accounts.ledger import epoch, keys
from accounts.redis import sync_client
from comparisons.models import Comparison
from comparisons.recording import drain as recording
from comparisons.tests import sse
from comparisons.tests.keyed import add_models, both_asked, contents, gate_of_the_first, is_replay, later
from conftest import Cast, Catalogue, wait_until
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, Gate
from proxy.tests.processes import WebProcess, same_services

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]
Recorded = Callable[[int], list[Usage]]


@pytest.fixture(autouse=True)
def _models(catalogue: Catalogue, provider: FakeProvider) -> None:
    add_models(catalogue, provider)


@pytest.fixture
def gate(provider: FakeProvider) -> Gate:
    return gate_of_the_first(provider)


def _as_if_it_had_died(comparison: Comparison) -> None:
    sync_client().zadd(keys.PROCESSES, {comparison.process: 0})  # as if its last heartbeat were long ago
    epoch.begin({}, grace_ms=-60_000)


def test_all_processes_together_ask_once(
    cast: Cast, provider: FakeProvider, gate: Gate, recorded: Recorded, tmp_path: Path
):
    one, other = (WebProcess(tmp_path, same_services()) for _ in range(2))
    with one, other, ThreadPoolExecutor() as pool:
        asked = [later(pool, process, cast) for process in (one, other) * 4]
        both_asked(provider)
        time.sleep(0.5)
        gate.open()
        answers = [answer.result() for answer in asked]
    assert {tuple(contents(answer)) for answer in answers} == {("Paris", "Lyon")}
    assert sorted(is_replay(answer) for answer in answers) == [False] + [True] * 7
    assert len(provider.received) == 2
    assert sorted(row.status for row in recorded(16)) == ["cached"] * 14 + ["ok"] * 2


@pytest.mark.parametrize("streamed", [True, False])
def test_what_a_killed_process_was_answered_is_not_asked_again(
    streamed: bool, cast: Cast, provider: FakeProvider, gate: Gate, tmp_path: Path
):
    one, other = (WebProcess(tmp_path, same_services()) for _ in range(2))
    with one, other, ThreadPoolExecutor() as pool:
        lost = later(pool, one, cast, stream=streamed)
        both_asked(provider)
        wait_until(_is_noted, "the other slot to be noted")
        one.kill()
        assert isinstance(lost.exception(), httpx.TransportError)
        waiting = later(pool, other, cast, stream=streamed)
        time.sleep(0.5)
        assert not waiting.done()
        _as_if_it_had_died(Comparison.objects.get())
        assert recording.sweep() == 1
        again = waiting.result()
    assert is_replay(again)
    assert len(provider.received) == 2
    if streamed:
        ends = [event.data for event in sse.read(again.text.split("\n")) if event.name.startswith("answer.")]
        assert {data["slot"]: data["status"] for data in ends if "status" in data} == {0: "interrupted", 1: "ok"}
    else:
        assert [answer["status"] for answer in again.json()["answers"]] == ["interrupted", "ok"]


def _is_noted() -> bool:
    recording.drain()
    return Comparison.objects.filter(answers__status="ok").exists()


def test_what_a_killed_process_was_not_to_store_can_be_tried_anew(
    cast: Cast, provider: FakeProvider, gate: Gate, tmp_path: Path
):
    one, other = (WebProcess(tmp_path, same_services()) for _ in range(2))
    with one, other, ThreadPoolExecutor() as pool:
        lost = later(pool, one, cast, store=False)
        both_asked(provider)
        one.kill()
        assert isinstance(lost.exception(), httpx.TransportError)
        [held] = sync_client().scan_iter("*:claim:*")
        assert 0 < sync_client().pttl(held) <= 60_000
        waiting = later(pool, other, cast, store=False)
        sync_client().pexpire(held, 500)  # rather than waiting for a minute
        assert contents(waiting.result())[0] == "anew"
