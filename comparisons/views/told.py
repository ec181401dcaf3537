"""What a comparison answers with, beside its body: status, error, headers."""

from typing import Any

import orjson
from django.http import HttpResponse

from comparisons.errors import NoneAnswered
from comparisons.models import Answer
from comparisons.models.answer import AnswerStatus, usd
from comparisons.replay import Told
from proxy.call import Call
from proxy.idempotency import REPLAYED

LEFT = "x-gateway-budget-remaining-tokens"
NOT_PROVIDERS = ("x-ratelimit-", "x-gateway-budget-")


def whole(told: Told, body: dict[str, Any], request_id: str) -> HttpResponse:
    """200 where at least one model answered, else 502 with the same body and an error."""
    failed = not any(answer.status == AnswerStatus.OK for answer in told.answers)
    headers = {**admission_headers(told), **outcome_headers(told)}
    if failed:
        errors = [(answer.requested_model, answer.error or {}) for answer in told.answers]
        body = {**body, "error": NoneAnswered(errors).body(request_id)}
        if told.is_replay:
            headers["x-should-retry"] = "false"  # clients repeat a 502, and this one stays
    return HttpResponse(
        orjson.dumps(body), status=502 if failed else 200, content_type="application/json", headers=headers
    )


def admission_headers(told: Told) -> dict[str, str]:
    """What the ledger says of the limits that apply, and whether it was there before."""
    last = told.calls[-1]
    limits = {name: value for name, value in last.headers().items() if name.startswith(NOT_PROVIDERS)}
    if last.admission and last.admission.room is not None:  # of which each call takes its part
        limits[LEFT] = str(max(0, last.admission.room - sum(call.taken_tokens for call in told.calls)))
    return {**limits, REPLAYED: "true"} if told.is_replay else limits


def outcome_headers(told: Told) -> dict[str, str]:
    """Of all calls together. The gateway's own time is what the slowest model did not take."""
    hits = sum(call.cached is not None for call in told.calls)
    reads = any(call.reads_cache for call in told.calls)
    answers = told.answers[len(told.answers) - len(told.calls) :]
    slowest = max(map(_models_ms, told.calls, answers), default=0.0)
    overhead = max(0.0, told.calls[0].elapsed_ms - slowest)
    return {
        "x-gateway-attempts": str(sum(len(call.attempts) for call in told.calls)),
        "x-gateway-cache": "hit" if hits == len(told.calls) else "miss" if reads else "bypass",
        "x-gateway-cost-usd": usd(sum(call.cost_microusd for call in told.calls)),
        "x-gateway-overhead-ms": f"{overhead:.1f}",
        **models_headers(told),
    }


def _models_ms(call: Call, answer: Answer) -> float:
    """What a slot's models took: up to their first content, and to write the rest."""
    writing = (answer.latency_ms or 0) - answer.ttft_ms if call.attempts and answer.ttft_ms is not None else 0
    return call.providers_ms + writing


def models_headers(told: Told) -> dict[str, str]:
    """Who answers, as far as it is known, in the order of the slots."""
    known = [call.headers() for call in told.calls]
    names = {
        name: ", ".join(headers[name] for headers in known if name in headers)
        for name in ("x-gateway-model", "x-gateway-provider")
    }
    return {name: value for name, value in names.items() if value}
