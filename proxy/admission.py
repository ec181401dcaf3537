"""Reserving for one call: from the cheap bound to the closest estimate that a budget needs."""

from zoneinfo import ZoneInfo

import orjson
from django.conf import settings

from accounts.errors import PartUnavailable
from accounts.ledger import Admission, Ask, Ledger, OtherMonth
from accounts.ledger.refusals import BudgetRefusal
from accounts.limits import Month
from proxy import cache, estimate
from proxy.call import Call
from proxy.estimate import Estimate


async def admit(ledger: Ledger, call: Call, version: int) -> None:
    """Count the call and reserve its tokens, or find its answer in the cache; sets what admission decides.

    Raises the ledger's refusals, and StaleConfiguration.
    """
    call.month = Month.at(ledger.now_ms(), ZoneInfo(call.caller.time_zone))
    try:
        await _admit(ledger, call, version)
    except PartUnavailable:
        if settings.GATEWAY_LEDGER_DOWN != "open" or call.caller.is_anonymous:
            raise
        # Let it pass without limits; it is settled, and so counted, once Redis is back.
        call.admission = Admission(at_ms=round(ledger.now_ms()))


async def _admit(ledger: Ledger, call: Call, version: int) -> None:
    try:
        await _reserve(ledger, call, version)
    except OtherMonth as other:  # our clock and Redis's disagree, or midnight passed: by Redis's time it is this one
        call.month = Month.at(other.now_ms, call.month.zone)
        await _reserve(ledger, call, version)


async def _reserve(ledger: Ledger, call: Call, version: int) -> None:
    enforced = any(budget.enforced_in(str(call.month)) is not None for budget in call.caller.budgets)
    bound = estimate.cheap(call.body, call.route, call.prompt_bytes, enforced=enforced)
    try:
        await _ask(ledger, call, version, bound)
    except BudgetRefusal:
        await _reserve_closely(ledger, call, version)


async def _reserve_closely(ledger: Ledger, call: Call, version: int) -> None:
    closer = await estimate.close(call.body, call.route)
    try:
        await _ask(ledger, call, version, closer)
    except BudgetRefusal as refusal:
        shortened = (
            estimate.clamped(closer, call.body.get("n") or 1, refusal.left) if call.route.clamp_max_tokens else None
        )
        if shortened is None:
            raise
        await _ask(ledger, call, version, shortened)


async def _ask(ledger: Ledger, call: Call, version: int, bound: Estimate) -> None:
    call.cap = bound.cap
    call.admission = await ledger.admit(
        Ask(
            request_id=call.request_id,
            version=version,
            record=orjson.dumps(call.record()),
            month=call.month,
            rate_limits=call.caller.rate_limits,
            budgets=call.caller.budgets,
            tokens=bound.tokens,
            cached=call.cached_name if call.reads_cache else "",
        )
    )
    call.reserved_tokens = bound.tokens
    _take_cached(call, call.admission)


def _take_cached(call: Call, admission: Admission) -> None:
    if admission.answer is not None:
        call.cached = cache.unpack(admission.answer, call.cached_name, call.caller.cache_scope)
