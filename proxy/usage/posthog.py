"""Telling PostHog about requests: one `$ai_generation` event for each usage row, without prompts and answers.

The rows are the queue. A position beside them says which were delivered, so whatever PostHog, the worker or the network
do, the drain neither waits nor knows, and what was missed for up to a day is sent later. A batch that PostHog may have
had already goes out again under the same event ids, and PostHog keeps one of each.
"""

import functools
import logging
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts.redis import key, sync_client
from proxy.models import StreamPosition, Usage
from proxy.models.usage import Status

logger = logging.getLogger(__name__)

BATCH = 500
LONGEST_SEND_S = 5.0  # for one batch, and then for all batches of one call
REQUEST_TIMEOUT_S = 3.0
PAUSE_S = 30  # after a failure; also the longest that one sender may keep the others out
TOO_OLD = timedelta(days=1)
POSITION = "posthog"
SENDER = key("posthog", "sender")
ERRORS = frozenset({Status.FAILED, Status.REJECTED, Status.CUT, Status.CRASHED})
NAMESPACE = uuid.UUID("8b5b2f0e-6a0f-4c39-9c0e-3f6b9c1d7a52")


def send() -> int:
    """Send what PostHog has not had; returns how many events arrived. Without POSTHOG_API_KEY, none.

    One sender at a time. After a failure (logged, never raised) all of them pause. Raises RedisError or
    OperationalError when Redis or the database is not there.
    """
    if not settings.POSTHOG_API_KEY or not sync_client().set(SENDER, 1, nx=True, ex=PAUSE_S):
        return 0
    outlet = _outlet(settings.POSTHOG_API_KEY, settings.POSTHOG_HOST)
    ends, sent = time.monotonic() + LONGEST_SEND_S, 0
    while time.monotonic() < ends and (usages := _not_sent()):
        if problem := outlet.deliver(usages):
            logger.warning("PostHog did not take its events: %s. Trying again in %s s.", problem, PAUSE_S)
            return sent  # and leave the mark to expire: that is the pause
        StreamPosition.objects.update_or_create(stream=POSITION, defaults={"last_id": str(usages[-1].pk)})
        sent += len(usages)
    sync_client().delete(SENDER)
    return sent


def _not_sent() -> list[Usage]:
    """The drain's lock makes rows visible in the order of their ids, so that none is left behind the position."""
    position = StreamPosition.objects.filter(stream=POSITION).first()
    waiting = Usage.objects.filter(pk__gt=int(position.last_id) if position else 0)
    return list(waiting.filter(created_at__gte=timezone.now() - TOO_OLD).order_by("pk")[:BATCH])


@functools.cache
def _outlet(api_key: str, host: str) -> "Outlet":
    return Outlet(api_key, host)


class Outlet:
    """PostHog's client in this process. Its queue is only a parcel under way: filled, flushed, empty again."""

    def __init__(self, api_key: str, host: str) -> None:
        from posthog import Posthog  # noqa: PLC0415 - a second to import, for the workers alone that send to it

        self._errors: list[str] = []
        self._client = Posthog(
            api_key,
            host=host,
            flush_at=BATCH,
            max_queue_size=2 * BATCH,
            gzip=True,
            timeout=REQUEST_TIMEOUT_S,
            max_retries=0,
            disable_geoip=True,
            on_error=self._failed,
        )

    def deliver(self, usages: Sequence[Usage]) -> str:
        """What went wrong; "" where PostHog took them all."""
        if self._is_under_way():
            return "the last batch is still under way"
        self._errors.clear()
        for usage in usages:
            self._client.capture("$ai_generation", **_event(usage))
        self._client.flush(timeout_seconds=LONGEST_SEND_S)
        if self._is_under_way():
            return "no answer in time"
        return ", ".join(self._errors)

    def _is_under_way(self) -> bool:
        return self._client.queue.unfinished_tasks > 0

    def _failed(self, error: Exception, batch: list[dict[str, Any]]) -> None:
        """Keeps only the kind of error: its text may hold what was sent."""
        self._errors.append(f"{type(error).__name__} {getattr(error, 'status', '')}".strip())


def _event(usage: Usage) -> dict[str, Any]:
    return {
        "distinct_id": f"user:{usage.user_id}" if usage.user_id is not None else "anonymous",
        "uuid": uuid.uuid5(NAMESPACE, usage.request_id),
        "timestamp": usage.created_at,
        "properties": {**_generation(usage), **_gateway(usage)},
    }


def _generation(usage: Usage) -> dict[str, Any]:
    """The properties that PostHog's AI pages know, https://posthog.com/docs/llm-analytics/manual-capture."""
    properties: dict[str, Any] = {
        "$ai_trace_id": usage.request_id,
        "$ai_model": usage.served_model or usage.requested_model,
        "$ai_provider": usage.provider,
        "$ai_input_tokens": usage.prompt_tokens,
        "$ai_output_tokens": usage.completion_tokens,
        "$ai_cache_read_input_tokens": usage.cached_tokens,
        "$ai_reasoning_tokens": usage.reasoning_tokens,
        "$ai_latency": usage.latency_ms / 1000,
        "$ai_total_cost_usd": usage.cost_microusd / 1_000_000,
        "$ai_stream": usage.streamed,
        "$ai_is_error": usage.status in ERRORS,
    }
    if usage.first_token_ms is not None:
        properties["$ai_time_to_first_token"] = usage.first_token_ms / 1000
    if usage.status in ERRORS:
        properties["$ai_error"] = usage.error_code or usage.status
    if usage.attempts and isinstance(usage.attempts[-1].get("status"), int):
        properties["$ai_http_status"] = usage.attempts[-1]["status"]
    return properties


def _gateway(usage: Usage) -> dict[str, Any]:
    return {
        "tenant": usage.tenant_name,
        "endpoint": usage.endpoint,
        "chain": usage.chain,
        "requested_model": usage.requested_model,
        "status": usage.status,
        "attempts": len(usage.attempts),
        "token_quality": usage.quality,
        "tags": usage.tags,
        "$process_person_profile": usage.user_id is not None,
    }
