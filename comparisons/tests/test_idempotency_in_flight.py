"""`Idempotency-Key` while a comparison is under way: who waits for it, hangs up, or loses the key."""

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from accounts.errors import PartUnavailable
from accounts.redis import sync_client
from accounts.tests.ledgers import take_redis_away
from comparisons.models import Comparison
from comparisons.recording import drain as recording
from comparisons.run import Run
from comparisons.tests import sse
from comparisons.tests.keyed import BODY, add_models, ask, both_asked, contents, gate_of_the_first, is_replay, later
from conftest import Cast, Catalogue, LiveGateway, wait_until
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, Gate, chunks, stream, then_hang
from proxy.tests.wire import assert_refused, connect, head

Recorded = Callable[[int], list[Usage]]


@pytest.fixture(autouse=True)
def _models(catalogue: Catalogue, provider: FakeProvider) -> None:
    add_models(catalogue, provider)


@pytest.fixture
def gate(provider: FakeProvider) -> Gate:
    return gate_of_the_first(provider)


def hang_up(gateway: LiveGateway, cast: Cast, provider: FakeProvider, **fields: Any) -> None:
    """Ask, and go away as soon as the models have been asked."""
    body = json.dumps({**BODY, **fields}).encode()
    with connect(gateway.url) as connection:
        connection.sendall(_head(cast, "order 1", body) + body)
        both_asked(provider)


def _head(cast: Cast, key: str, body: bytes) -> bytes:
    headers = {
        "Authorization": f"Bearer {cast.alice.key}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Idempotency-Key": key,
    }
    return head("POST", "/compare_models", headers)


@pytest.mark.parametrize("store", [True, False])
def test_the_others_wait_for_the_first(
    store: bool, gateway: LiveGateway, cast: Cast, provider: FakeProvider, gate: Gate, recorded: Recorded
):
    with ThreadPoolExecutor() as pool:
        all_three = [later(pool, gateway, cast, store=store) for _ in range(3)]
        both_asked(provider)
        time.sleep(0.3)
        gate.open()
        answers = [one.result() for one in all_three]
    assert [contents(one) for one in answers] == [["Paris", "Lyon"]] * 3
    assert sorted(is_replay(one) for one in answers) == [False, True, True]
    assert len(provider.received) == 2
    assert sorted(row.status for row in recorded(6)) == ["cached"] * 4 + ["ok"] * 2


@pytest.mark.parametrize("store", [True, False])
def test_who_waits_in_vain_is_told_to_come_again(
    store: bool, gateway: LiveGateway, cast: Cast, provider: FakeProvider, gate: Gate
):
    with ThreadPoolExecutor() as pool:
        first = later(pool, gateway, cast, store=store)
        both_asked(provider)
        refused = ask(gateway, cast, {"x-gateway-timeout-s": "0.3"}, store=store)
        gate.open()
        first.result()
    assert_refused(refused, 409, "invalid_request_error", "request_in_flight", "Idempotency-Key")
    assert int(refused.headers["retry-after"]) > 0
    assert is_replay(ask(gateway, cast, store=store))


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"store": False}, {"store": False, "stream": True}])
def test_a_caller_who_hung_up_finds_the_whole_answer_at_the_next_try(
    fields: dict[str, Any], gateway: LiveGateway, cast: Cast, provider: FakeProvider, gate: Gate
):
    hang_up(gateway, cast, provider, **fields)
    gate.open()
    again = ask(gateway, cast, **fields)
    assert is_replay(again)
    if fields.get("stream"):
        told = [event.data for event in sse.read(again.text.split("\n")) if event.name == "answer.done"]
        assert [data["content"] for data in told] == ["Paris", "Lyon"]
    else:
        assert contents(again) == ["Paris", "Lyon"]
    assert len(provider.received) == 2


@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize("streamed", [True, False])
def test_what_a_caller_took_along_stays_interrupted(
    streamed: bool, store: bool, gateway: LiveGateway, cast: Cast, provider: FakeProvider
):
    provider.on("one", then_hang(chunks("Par", "is")[:2]), stream(chunks("anew")))
    fields: dict[str, Any] = {"on_disconnect": "cancel", "stream": streamed, "store": store}
    hang_up(gateway, cast, provider, **fields)
    hanging = next(each for each in provider.received if each.body["model"] == "one")
    assert hanging.hung_up.wait(5)
    again = ask(gateway, cast, **fields)
    assert is_replay(again)
    if not streamed:
        assert again.json()["status"] == "interrupted"
        assert again.json()["answers"][0]["status"] == "interrupted"
    assert len(provider.received) == 2


def test_hang_ups_at_any_moment_leave_no_claim(gateway: LiveGateway, cast: Cast, provider: FakeProvider):
    for number in range(80):
        provider.on("one", stream(chunks("Paris")))
        how = {"stream": number % 2 == 0, "store": number % 3 != 0, "on_disconnect": "cancel" if number % 5 else None}
        body = json.dumps({**BODY, **how}).encode()
        with connect(gateway.url) as connection:
            connection.sendall(_head(cast, f"order {number}", body) + body)
            time.sleep(number % 40 / 4_000)
    client = sync_client()

    def held() -> list[bytes]:
        return [name for name in client.scan_iter("*:claim:*") if client.hget(name, "claimant")]

    wait_until(lambda: not held(), "every claim to be given up")
    wait_until(lambda: recording.drain() == 0 and not Comparison.objects.filter(status="running").exists(), "the ends")


def test_whoever_hangs_up_and_comes_back_at_once_asks_each_model_once(
    gateway: LiveGateway, cast: Cast, provider: FakeProvider
):
    provider.on("one", stream(chunks("Paris")))
    provider.on("two", stream(chunks("Lyon")))
    for number in range(60):
        fields = {"prompt": f"Question {number}", "stream": number % 2 == 0, "store": number % 3 != 0}
        body = json.dumps({**BODY, **fields}).encode()
        with connect(gateway.url) as connection:
            connection.sendall(_head(cast, f"order {number}", body) + body)
            time.sleep(number % 30 / 3_000)
        again = ask(gateway, cast, {"Idempotency-Key": f"order {number}"}, **fields)
        assert again.status_code == 200
        assert "Paris" in again.text
        assert "Lyon" in again.text
    asked = Counter(request.body["messages"][0]["content"] for request in provider.received)
    assert asked == {f"Question {number}": 2 for number in range(60)}


def test_a_comparison_whose_rows_are_made_later_is_told_again(
    gateway: LiveGateway, cast: Cast, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
):
    async def away(function: Any, *arguments: Any) -> Any:
        raise PartUnavailable("No.")

    with monkeypatch.context() as outage:
        outage.setattr("comparisons.run.run_sql", away)
        first = ask(gateway, cast)
    again = ask(gateway, cast)
    assert is_replay(again)
    assert again.json() == first.json()
    assert len(provider.received) == 2


def test_without_redis_nothing_is_asked_twice(
    gateway: LiveGateway, cast: Cast, monkeypatch: pytest.MonkeyPatch, provider: FakeProvider, settings: Any
):
    settings.GATEWAY_LEDGER_DOWN = "open"
    ask(gateway, cast)

    with monkeypatch.context() as patch:
        take_redis_away(patch)
        refused = ask(gateway, cast)
    assert_refused(refused, 503, "gateway_error", "ledger_unavailable")
    assert len(provider.received) == 2
    assert contents(ask(gateway, cast)) == ["Paris", "Lyon"]


def test_who_lost_its_key_before_it_began_asks_nobody(
    gateway: LiveGateway, cast: Cast, monkeypatch: pytest.MonkeyPatch, provider: FakeProvider, recorded: Recorded
):
    create = Run._create

    async def slowly(run: Run) -> None:
        """As in a process that stood still for so long that another one has taken the key."""
        await create(run)
        [held] = sync_client().scan_iter("*:claim:*")
        sync_client().hset(held, "claimant", "another process")

    monkeypatch.setattr(Run, "_create", slowly)
    assert ask(gateway, cast).status_code == 502
    assert not provider.received
    assert {(row.status, row.total_tokens) for row in recorded(2)} == {("failed", 0)}
    [held] = sync_client().scan_iter("*:claim:*")
    assert sync_client().hget(held, "claimant") == b"another process"
