"""The flow of a request that may be sent more than once: carry it out, wait for it, or give its answer again.

    no Idempotency-Key        admit, answer: as if this were not here
    the key is new            claim it, admit, answer, keep the answer
    the same is under way     wait for its answer; if it fails, carry it out
    it was answered           admit as a hit of the cache is (rate limits, a usage row, no tokens), replay
    another body or route     IdempotencyConflict

A caller who hangs up has not given up: an answer that does not stream is finished and kept for the next try. A stream's
hang-up ends it, as that is how streams are stopped.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from accounts.errors import GatewayError
from proxy.call import Call
from proxy.catalogue import Catalogue
from proxy.gateway import Decide, Gateway
from proxy.http.response import WrittenEventStream
from proxy.idempotency.claim import Claim, unreadable
from proxy.idempotency.errors import HEADER, REPLAYED
from proxy.idempotency.recording import recorded

logger = logging.getLogger(__name__)

Answer = Callable[[Call], Awaitable[HttpResponseBase]]


async def once(gateway: Gateway, request: Request, decide: Decide, answer: Answer) -> HttpResponseBase:
    """The answer to the call that `decide` makes, by `answer`; to one that was answered before, the same again.

    Raises what `Gateway.admit` and `answer` raise, and the refusals of `proxy.idempotency.errors`.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return await answer(await gateway.admit(decide))
    call = await decide(await gateway.newest_catalogue())
    asked = [request.path.removeprefix("/v1"), request.data]  # a route and its alias are the same
    claim = Claim(gateway.redis, gateway.settlements, call.caller, key, asked)
    if not await claim.take(call.remaining_s):
        return await _replay(gateway, claim, decide)
    work = _carry_out(gateway, claim, decide, answer)
    return await (work if call.streamed else _outlive_caller(gateway, work))


async def _carry_out(gateway: Gateway, claim: Claim, decide: Decide, answer: Answer) -> HttpResponseBase:
    try:
        response = await answer(await gateway.admit(decide))
    except BaseException:
        claim.release()
        raise
    return recorded(response, claim)


async def _outlive_caller(gateway: Gateway, work: Coroutine[Any, Any, HttpResponseBase]) -> HttpResponseBase:
    """The answer; a caller who hangs up does not end the work on it."""
    working = asyncio.ensure_future(work)
    gateway.settlements.start(_until_done(working))  # a gateway that stops waits for it, too
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        working.add_done_callback(_log_mistake)
        raise


async def _until_done(working: "asyncio.Future[HttpResponseBase]") -> None:
    try:
        await asyncio.wait([working])
    except asyncio.CancelledError:  # the gateway stops, and has waited long enough
        working.cancel()
        raise


def _log_mistake(working: "asyncio.Future[HttpResponseBase]") -> None:
    """A refusal that nobody waits for needs no words; a mistake of ours does."""
    error = None if working.cancelled() else working.exception()
    if error and not isinstance(error, GatewayError):
        logger.error("Unexpected error in a request whose caller hung up", exc_info=error)


async def _replay(gateway: Gateway, claim: Claim, decide: Decide) -> HttpResponseBase:
    """The kept answer, found by admission as an entry of the cache is."""

    async def decide_to_replay(catalogue: Catalogue) -> Call:
        call = await decide(catalogue)
        call.cached_name, call.reads_cache = claim.answer_name, True
        return call

    call = await gateway.admit(decide_to_replay)
    if call.cached is None:  # admitted without Redis, or evicted this very moment
        with gateway.finish_on_error(call):
            raise unreadable()
    if call.transcript and call.streamed:
        call.transcript.hear_again(call.cached.raw)
    else:
        call.note_answer(call.cached.raw)
    gateway.finish(call)
    headers = {**call.headers(), REPLAYED: "true"}
    if call.streamed:
        return WrittenEventStream(call.cached.raw, headers=headers)
    return HttpResponse(call.cached.raw, content_type="application/json", headers=headers)
