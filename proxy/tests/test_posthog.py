"""PostHog hears of each recorded request, learns no content, and holds nothing up."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts.redis import sync_client
from proxy.models import StreamPosition, Usage
from proxy.tests.fake_posthog import FakePostHog
from proxy.tests.usage_events import append, event
from proxy.usage import posthog as posthog_module
from proxy.usage.drain import drain
from proxy.usage.posthog import SENDER, send

pytestmark = pytest.mark.django_db


@pytest.fixture
def posthog(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePostHog]:
    monkeypatch.setattr(posthog_module, "REQUEST_TIMEOUT_S", 0.3)
    monkeypatch.setattr(posthog_module, "LONGEST_SEND_S", 1.0)
    with FakePostHog() as fake:
        settings.POSTHOG_API_KEY = "phc_test"
        settings.POSTHOG_HOST = fake.url
        yield fake


@pytest.fixture
def record() -> Callable[..., Usage]:
    """Record one request, as the gateway and the drain do."""

    def record(**fields: Any) -> Usage:
        sent = event(**fields)
        append(sent)
        drain()
        return Usage.objects.get(request_id=sent["request_id"])

    return record


def end_the_pause() -> None:
    sync_client().delete(SENDER)


def test_a_recorded_request_is_sent_with_its_figures(posthog: FakePostHog, record: Callable[..., Usage]):
    usage = record(cached_tokens=40, reasoning_tokens=5)
    assert send() == 1
    [sent] = posthog.events
    assert (sent["event"], sent["distinct_id"]) == ("$ai_generation", "user:7")
    assert sent["timestamp"].startswith(usage.created_at.strftime("%Y-%m-%dT%H:%M:%S"))
    expected = {
        "$ai_trace_id": usage.request_id,
        "$ai_model": "openai/gpt-4o-mini",
        "$ai_provider": "openai",
        "$ai_input_tokens": 100,
        "$ai_output_tokens": 20,
        "$ai_cache_read_input_tokens": 40,
        "$ai_reasoning_tokens": 5,
        "$ai_latency": 1.24,
        "$ai_time_to_first_token": 0.31,
        "$ai_total_cost_usd": 0.00123,
        "$ai_stream": True,
        "$ai_is_error": False,
        "$ai_http_status": 200,
        "$geoip_disable": True,
        "tenant": "acme",
        "chain": "default",
        "status": "ok",
        "attempts": 1,
        "tags": ["nightly"],
    }
    assert expected.items() <= sent["properties"].items()


def test_a_failed_request_is_sent_as_an_error(posthog: FakePostHog, record: Callable[..., Usage]):
    refused = {"model": "a/b", "provider": "a", "status": 503, "code": "overloaded", "ms": 3, "message": "so busy"}
    record(status="failed", error_code="overloaded", served_model="", first_token_ms=None, attempts=[refused])
    send()
    properties = posthog.events[0]["properties"]
    assert (properties["$ai_is_error"], properties["$ai_error"]) == (True, "overloaded")
    assert (properties["$ai_http_status"], properties["$ai_model"]) == (503, "default")
    assert "$ai_time_to_first_token" not in properties


def test_neither_names_of_people_nor_what_was_said_is_sent(posthog: FakePostHog, record: Callable[..., Usage]):
    record(username="alice@example.com", attempts=[{"provider": "a", "code": "x", "message": "they said: secret"}])
    send()
    text = json.dumps(posthog.events)
    assert "alice@example.com" not in text
    assert "secret" not in text
    assert not {"$ai_input", "$ai_output_choices"} & posthog.events[0]["properties"].keys()


def test_an_anonymous_caller_gets_no_profile(posthog: FakePostHog, record: Callable[..., Usage]):
    record(user_id=None)
    send()
    [sent] = posthog.events
    assert sent["distinct_id"] == "anonymous"
    assert sent["properties"]["$process_person_profile"] is False


def test_each_request_is_sent_once(posthog: FakePostHog, record: Callable[..., Usage]):
    first, second = record(), record()
    assert send() == 2
    assert send() == 0
    third = record()
    assert send() == 1
    sent = [each["properties"]["$ai_trace_id"] for each in posthog.events]
    assert sent == [first.request_id, second.request_id, third.request_id]


def test_many_requests_go_out_in_batches(
    posthog: FakePostHog, record: Callable[..., Usage], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(posthog_module, "BATCH", 10)
    append(*(event() for _ in range(35)))
    drain()
    assert send() == 35
    assert len({each["uuid"] for each in posthog.events}) == 35


def test_without_a_key_nothing_is_sent(posthog: FakePostHog, record: Callable[..., Usage], settings: Settings):
    settings.POSTHOG_API_KEY = ""
    record()
    assert send() == 0
    assert posthog.events == []


def test_what_posthog_refused_is_sent_again_after_a_pause(
    posthog: FakePostHog, record: Callable[..., Usage], caplog: pytest.LogCaptureFixture
):
    record()
    posthog.status = 500
    assert send() == 0
    assert "APIError 500" in caplog.text
    posthog.status = 200
    assert send() == 0  # the pause
    end_the_pause()
    assert send() == 1
    assert len(posthog.events) == 1


def test_a_resent_event_has_the_same_id_so_that_posthog_keeps_one(posthog: FakePostHog, record: Callable[..., Usage]):
    record()
    send()
    StreamPosition.objects.filter(stream="posthog").delete()
    send()
    first, again = posthog.events
    assert first["uuid"] == again["uuid"]
    assert (first["timestamp"], first["distinct_id"]) == (again["timestamp"], again["distinct_id"])


def test_a_silent_posthog_holds_nobody_up(posthog: FakePostHog, record: Callable[..., Usage]):
    record()
    posthog.answers.clear()
    began = time.monotonic()
    assert send() == 0
    assert time.monotonic() - began < 5
    posthog.answers.set()
    end_the_pause()
    assert send() == 1


def test_an_unreachable_posthog_raises_nothing(record: Callable[..., Usage], settings: Settings):
    settings.POSTHOG_API_KEY, settings.POSTHOG_HOST = "phc_test", "http://127.0.0.1:9"
    record()
    assert send() == 0


def test_requests_older_than_a_day_are_not_sent(posthog: FakePostHog, record: Callable[..., Usage]):
    record(created_at=(timezone.now() - timedelta(days=2)).isoformat())
    recent = record()
    assert send() == 1
    assert posthog.events[0]["properties"]["$ai_trace_id"] == recent.request_id
