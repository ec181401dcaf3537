"""`Idempotency-Key` for comparisons: begin it, wait for it, or tell it again.

    no Idempotency-Key        begin: as if this were not here
    the key is new            claim it, begin; from its rows on the key stands for this comparison, however it ends
    it is under way           wait for its end; if it never began (refused at admission), begin
    it has ended              admit its calls as hits of the cache (rate limits, usage rows, no tokens), tell it again
    another body or route     IdempotencyConflict

See docs/decisions/0020-a-key-stands-for-its-comparison.md.
"""

import asyncio

import orjson
from rest_framework.request import Request

from accounts.callers import Caller
from accounts.sql import run_query
from comparisons import stored
from comparisons.begin import Wanted, begin
from comparisons.errors import ComparisonDeleted, ComparisonNotFound
from comparisons.hold import Hold, is_whole
from comparisons.models import Answer, Comparison
from comparisons.recording import entry
from comparisons.replay import Replay, Told
from proxy.cache import CachedAnswer
from proxy.call import Call
from proxy.catalogue import Catalogue
from proxy.gateway import Gateway
from proxy.idempotency import HEADER, Claim, RequestInFlight

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.5  # each look is a query


async def begin_once(gateway: Gateway, request: Request, route: str, wanted: Wanted) -> Told:
    """A run that is to be started, or one that was there before. `route`: the same for all its aliases.

    Raises what `begin` raises, and the refusals of `proxy.idempotency.errors`.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return await begin(gateway, wanted)
    calls = await wanted.decide(await gateway.newest_catalogue())
    caller, patience_s = calls[0].caller, max(call.remaining_s for call in calls)
    gives_up = asyncio.get_running_loop().time() + patience_s
    claim = Claim(gateway.redis, gateway.settlements, caller, key, [route, request.data])
    if await claim.take(patience_s):
        return await _begin(gateway, wanted, claim)
    return await _replay(gateway, wanted, *await _ended(claim, caller, gives_up))


async def _begin(gateway: Gateway, wanted: Wanted, claim: Claim) -> Told:
    try:
        return await begin(gateway, wanted, Hold(claim, store=wanted.asked.store))
    except BaseException:
        claim.release()
        raise


async def _ended(claim: Claim, caller: Caller, gives_up: float) -> tuple[Comparison, list[Answer], list[str]]:
    """What the key stands for, once it has ended. Raises RequestInFlight when it waited in vain, ComparisonDeleted."""
    kept = orjson.loads(await claim.kept())
    if is_whole(kept):
        return entry.restored(kept)
    pause = FIRST_PAUSE_S
    while (found := await _look(caller, kept["comparison"])) is None:
        if asyncio.get_running_loop().time() + pause > gives_up:
            raise RequestInFlight
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_S)
    return found


async def _look(caller: Caller, comparison_id: str) -> tuple[Comparison, list[Answer], list[str]] | None:
    try:
        return await run_query(stored.once_ended, caller, comparison_id)
    except ComparisonNotFound as gone:
        raise ComparisonDeleted from gone


async def _replay(
    gateway: Gateway, wanted: Wanted, comparison: Comparison, answers: list[Answer], tags: list[str]
) -> Replay:
    """Counts as the requests that it stands for; what the caller may use is checked anew."""

    async def decide_to_replay(catalogue: Catalogue) -> list[Call]:
        calls = list(await wanted.decide(catalogue))
        for call, answer in zip(calls, answers[-len(calls) :], strict=True):
            call.reads_cache, call.cached_name = False, ""
            call.cached = CachedAnswer(b"", answer.resolved_model, answer.provider, age_s=0)
        return calls

    calls = await gateway.admit_together(decide_to_replay)
    for call in calls:
        gateway.finish(call)
    return Replay(comparison, answers, calls, tags)
