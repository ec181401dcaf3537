"""Reserving for a call, or for several of one caller together: from the cheap bound to the closest estimate."""

import asyncio
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from django.conf import settings

from accounts.errors import PartUnavailable
from accounts.ledger import Admission, AnswerLost, Ask, Ledger, OtherMonth, Reservation
from accounts.ledger.local_limits import LocalLimits
from accounts.ledger.refusals import BudgetRefusal, BudgetSpent
from accounts.limits import Month
from proxy import cache, estimate
from proxy.call import Call
from proxy.estimate import Estimate


async def admit(ledger: Ledger, calls: Sequence[Call], version: int, local_limits: LocalLimits) -> None:
    """Count the calls and reserve their tokens, all or none, or find a single one's answer in the cache.

    Sets what admission decides. Raises the ledger's refusals, and StaleConfiguration.
    """
    caller = calls[0].caller
    _open(calls, ledger.now_ms(), ZoneInfo(caller.time_zone))
    try:
        await _admit(ledger, calls, version)
    except AnswerLost:
        raise
    except PartUnavailable:
        if settings.GATEWAY_LEDGER_DOWN != "open" or caller.is_anonymous:
            raise
        # Let it pass on this process's own count; it is settled, and so counted, once Redis is back.
        local_limits.admit(caller.rate_limits, len(calls))
        for call in calls:
            call.admission = Admission(at_ms=round(ledger.now_ms()))


async def _admit(ledger: Ledger, calls: Sequence[Call], version: int) -> None:
    try:
        await _reserve(ledger, calls, version)
    except OtherMonth as other:  # our clock and Redis's disagree, or midnight passed: by Redis's time it is this one
        _open(calls, other.now_ms, calls[0].quota.month.zone)
        await _reserve(ledger, calls, version)


def _open(calls: Sequence[Call], now_ms: float, zone: ZoneInfo) -> None:
    quota = calls[0].caller.quota(Month.at(now_ms, zone))
    for call in calls:
        call.open(now_ms, quota)


async def _reserve(ledger: Ledger, calls: Sequence[Call], version: int) -> None:
    enforced = calls[0].quota.has_hard_budget
    bounds = [estimate.cheap(call.body, call.route, call.prompt_bytes, enforced=enforced) for call in calls]
    try:
        await _ask(ledger, calls, version, bounds)
    except BudgetRefusal:
        await _reserve_closely(ledger, calls, version)


async def _reserve_closely(ledger: Ledger, calls: Sequence[Call], version: int) -> None:
    closer = await asyncio.gather(*(estimate.close(call.body, call.route) for call in calls))
    try:
        await _ask(ledger, calls, version, closer)
    except BudgetRefusal as refusal:
        shortened = _clamped(calls, closer, refusal.left)
        if shortened is None:
            if isinstance(refusal, BudgetSpent):
                ledger.note_exhausted(refusal)
            raise
        await _ask(ledger, calls, version, [shortened])


def _clamped(calls: Sequence[Call], bounds: Sequence[Estimate], left: int) -> Estimate | None:
    """A single call's answer shortened to what is left, where its chain says so. Several are compared: never cut."""
    if len(calls) > 1 or not calls[0].route.clamp_max_tokens:
        return None
    return estimate.clamped(bounds[0], calls[0].body.get("n") or 1, left)


async def _ask(ledger: Ledger, calls: Sequence[Call], version: int, bounds: Sequence[Estimate]) -> None:
    reservations = []
    for call, bound in zip(calls, bounds, strict=True):
        call.cap = bound.cap
        call.reserved_tokens = 0 if call.cached else bound.tokens
        reservations.append(Reservation(call.request_id, call.opening, call.reserved_tokens, call.estimate))
    only = calls[0] if len(calls) == 1 else None
    ask = Ask(version, calls[0].quota, reservations)
    if only and only.reads_cache:
        ask.cached, ask.seal = only.cached_name, only.cache_seal
        ask.asked_ms = None if only.transcript else only.asked_ms  # the words to store are told when it is settled
    ask.enforces = not all(call.cached for call in calls)
    admission = await ledger.admit(ask)
    for call in calls:
        call.admission = admission
    if only and admission.entry is not None:
        only.cached = cache.unpack(admission.entry, ask.seal)
        if only.cached is None:  # the script had compared the seal: this is somebody else's reply
            await ledger.release(only.request_id)
            raise AnswerLost
