"""A request that the cache answers is counted and settled by its admission alone."""

import json
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from accounts.errors import RateLimited
from accounts.ledger import Admission, AnswerLost, Ask, Ledger, Reservation, epoch, keys
from accounts.limits import Budget, ConcurrencyLimit, Month, RateLimit
from accounts.quota import Quota
from accounts.redis import sync_client
from accounts.tests.ledgers import counted, with_ledger

UTC = ZoneInfo("UTC")
RATE, GATE, BUDGET = RateLimit("user", "1", 2), ConcurrencyLimit("key", "k", 1), Budget("user", "1", 100)
ENTRY, SEAL = "{gw}:cache:answer", b'["{gw}:cache:answer","tenant 1"]\n'
STORED = SEAL + b'{"served_model":"m","provider":"p"}\nThe answer.'


def ask(ledger: Ledger, request_id: str = "r1", **fields: Any) -> Ask:
    quota = Quota(Month.at(ledger.now_ms(), UTC), [RATE], [GATE], [BUDGET])
    opening = f'{{"request_id":"{request_id}"'.encode()
    told = {"cached": ENTRY, "seal": SEAL, "asked_ms": round(ledger.now_ms()) - 60_000, **fields}
    return Ask(1, quota, [Reservation(request_id, opening, 60, b',"quality":"estimated"}')], **told)


def events() -> list[dict[str, Any]]:
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", sync_client().xrange(keys.USAGE_STREAM))
    return [json.loads(fields[b"event"]) for _, fields in entries]


def admitted(*, entry: bytes | None = STORED, times: int = 1, **fields: Any) -> Admission:
    if entry is not None:
        sync_client().set(ENTRY, entry)

    async def work(ledger: Ledger) -> Admission:
        asked = ask(ledger, **fields)
        admission = [await ledger.admit(asked) for _ in range(times)][-1]
        assert await ledger.release_strays() == await ledger.release_strays() == 0
        return admission

    return with_ledger(work)


def test_it_is_settled_at_once_and_nothing_stays_reserved():
    admission = admitted()
    assert (admission.entry, admission.is_settled) == (STORED, True)
    [event] = events()
    assert event.pop("latency_ms") >= 59_000  # the rest is rounding, and clocks that differ
    assert event == {"request_id": "r1", "status": "cached", "served_model": "m", "provider": "p"}
    assert counted(BUDGET.counter(str(Month.at(admission.at_ms, UTC)))) == (0, 0)
    assert not sync_client().exists(keys.reservation("r1"), GATE.gate)


def test_it_counts_as_a_request():
    async def work(ledger: Ledger) -> None:
        for request_id in ("r1", "r2"):
            await ledger.admit(ask(ledger, request_id))
        with pytest.raises(RateLimited):
            await ledger.admit(ask(ledger, "r3"))

    sync_client().set(ENTRY, STORED)
    with_ledger(work)
    assert [event["request_id"] for event in events()] == ["r1", "r2"]


def test_asking_again_after_a_lost_reply_counts_once_and_gets_the_answer():
    admission = admitted(times=3)
    assert (admission.entry, admission.is_settled, admission.stream_id) == (STORED, True, b"")
    assert len(events()) == 1
    assert sync_client().zcard(RATE.window) == 1


def test_an_answer_that_the_cache_lost_before_the_second_time_is_not_promised():
    async def work(ledger: Ledger) -> None:
        asked = ask(ledger)
        await ledger.admit(asked)
        sync_client().delete(ENTRY)
        with pytest.raises(AnswerLost):
            await ledger.admit(asked)

    sync_client().set(ENTRY, STORED)
    with_ledger(work)
    assert len(events()) == 1
    assert not sync_client().exists(keys.reservation("r1"))


def test_who_was_admitted_to_ask_a_provider_does_so_even_if_the_answer_came_meanwhile():
    async def work(ledger: Ledger) -> list[bytes | None]:
        asked = ask(ledger)
        before = await ledger.admit(asked)
        sync_client().set(ENTRY, STORED)
        return [before.entry, (await ledger.admit(asked)).entry]

    assert with_ledger(work) == [None, None]
    assert events() == []
    assert sync_client().exists(keys.reservation("r1"))


def test_an_entry_with_another_seal_is_none():
    admission = admitted(entry=STORED.replace(b"tenant 1", b"tenant 2"))
    assert (admission.entry, admission.is_settled) == (None, False)
    assert sync_client().exists(keys.reservation("r1"))


def test_one_with_words_to_store_is_settled_by_itself():
    admission = admitted(asked_ms=None)
    assert (admission.entry, admission.is_settled) == (STORED, False)
    assert events() == []
    assert sync_client().hget(keys.reservation("r1"), "tokens") == b"0"


def test_its_event_comes_along_when_redis_is_lost():
    async def work(ledger: Ledger) -> None:
        await ledger.admit(ask(ledger))
        sync_client().delete(keys.USAGE_STREAM, keys.SETTLED)
        await ledger.join(epoch.begin({}, grace_ms=0))

    sync_client().set(ENTRY, STORED)
    with_ledger(work)
    assert [event["status"] for event in events()] == ["cached"]
