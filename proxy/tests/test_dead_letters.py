"""An event that cannot be a row becomes a dead letter, and blocks nothing."""

import json
from typing import Any

import pytest

from accounts.ledger.keys import USAGE_STREAM
from accounts.redis import sync_client
from proxy.models import DeadLetter
from proxy.tests.usage_events import append, event, request_ids
from proxy.usage.drain import drain, lag, retry

pytestmark = pytest.mark.django_db


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


@pytest.mark.parametrize("name", ["request_id", "created_at", "month", "status"])
def test_an_event_without_what_makes_it_one_says_what_is_missing(name: str):
    whole = event()
    del whole[name]
    append(whole)
    assert drain() == 0
    assert DeadLetter.objects.get().error == f"{name}: missing"


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
