"""Usage events as the settlement script appends them, and the rows that they become."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from accounts.ledger.keys import USAGE_STREAM
from accounts.redis import sync_client
from proxy.models import Usage


def event(**fields: Any) -> dict[str, Any]:
    """An answered chat of alice's, with the given fields instead."""
    return {
        "request_id": f"req_{uuid.uuid4().hex}",
        "created_at": datetime.now(UTC).isoformat(),
        "month": "2026-11",
        "tenant_id": 1,
        "tenant_name": "acme",
        "user_id": 7,
        "username": "alice",
        "key_id": None,
        "key_name": "",
        "endpoint": "chat",
        "chain": "default",
        "requested_model": "default",
        "served_model": "openai/gpt-4o-mini",
        "provider": "openai",
        "status": "ok",
        "error_code": "",
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "quality": "reported",
        "cost_microusd": 1230,
        "input_price_per_mtok": "0.150000",
        "output_price_per_mtok": "0.600000",
        "latency_ms": 1240,
        "first_token_ms": 310,
        "streamed": True,
        "attempts": [{"model": "openai/gpt-4o-mini", "provider": "openai", "status": 200, "code": None, "ms": 1240}],
        "tags": ["nightly"],
        **fields,
    }


def append_counted(event: dict[str, Any], tokens: int, counter: str) -> None:
    """As a settlement does that adds the tokens to a counter."""
    sync_client().hincrby(counter, "spent", tokens)
    sync_client().xadd(USAGE_STREAM, {"event": json.dumps(event), "counted": tokens, "counters": counter})


def append(*events: dict[str, Any] | str | bytes) -> None:
    """To the stream: an event, or anything else as it is."""
    for item in events:
        payload = json.dumps(item) if isinstance(item, dict) else item
        sync_client().xadd(USAGE_STREAM, {"event": payload})


def request_ids() -> list[str]:
    """Of the rows, in the order in which they were written."""
    return list(Usage.objects.order_by("id").values_list("request_id", flat=True))
