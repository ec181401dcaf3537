"""What the drain notes besides rows: when a key was last used, and which provider refuses our credential."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.models import APIKey, ConfigurationVersion
from conftest import Cast
from proxy.models import Provider
from proxy.tests.usage_events import append, event
from proxy.usage.drain import drain

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


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


@pytest.mark.parametrize("microseconds", [0, 500_000])
def test_a_use_that_was_noted_elsewhere_is_later_or_earlier_by_its_time(microseconds: int, cast: Cast):
    key, noted = cast.alice.key_row, NOON + timedelta(microseconds=microseconds)
    key.last_used_at = noted
    key.save()
    append(event(key_id=str(key.pk), created_at=(noted - timedelta(hours=1)).isoformat()))
    drain()
    key.refresh_from_db()
    assert key.last_used_at == noted
    append(event(key_id=str(key.pk), created_at=(noted + timedelta(microseconds=1)).isoformat()))
    drain()
    key.refresh_from_db()
    assert key.last_used_at == noted + timedelta(microseconds=1)


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
