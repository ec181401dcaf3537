"""Rows that the tests of the admin look at."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from conftest import Member
from proxy.models import Usage


def make_usage(caller: Member, request_id: str, at: datetime | None = None, **fields: Any) -> Usage:
    """One answered request of a caller: by the second model, after the first was rate limited."""
    attempts = [
        {
            "model": "fake/one",
            "provider": "fake",
            "status": 429,
            "code": "rate_limit_exceeded",
            "ms": 12,
            "message": "Slow down.",
        },
        {"model": "fake/two", "provider": "fake", "status": 200, "code": None, "ms": 345, "message": None},
    ]
    user = caller.user
    assert user.tenant is not None
    values = {
        "month": "2026-11",
        "tenant_id": user.tenant.pk,
        "tenant_name": user.tenant.name,
        "user_id": user.pk,
        "username": user.username,
        "key_id": caller.key_row.pk,
        "key_name": caller.key_row.name,
        "chain": "default",
        "requested_model": "default",
        "served_model": "fake/two",
        "provider": "fake",
        "status": "ok",
        "prompt_tokens": 1200,
        "completion_tokens": 34,
        "cached_tokens": 1000,
        "cost_microusd": 1230,
        "input_price_per_mtok": "0.15",
        "output_price_per_mtok": "0.6",
        "latency_ms": 1357,
        "first_token_ms": 246,
        "attempts": attempts,
        "tags": ["nightly"],
    }
    return Usage.objects.create(request_id=request_id, created_at=at or timezone.now(), **{**values, **fields})
