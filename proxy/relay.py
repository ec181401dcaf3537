"""The walk over a chain's links until one answers. Everything else (admission, metering, breakers) wraps it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from proxy.breakers import Breakers
from proxy.call import Call
from proxy.catalogue import Link, Route
from proxy.deadlines import Deadlines, Wait
from proxy.errors import ChainFailed, UpstreamRejected
from proxy.estimate import capped
from proxy.meter import Meter
from proxy.stream import Stream
from proxy.upstreams import Answer, Event, Upstreams
from proxy.upstreams.failures import (
    Abandoned,
    BreakerOpen,
    CallerTimedOut,
    ContentRefused,
    ContextWindowExceeded,
    MalformedAnswer,
    RateLimited,
    TimedOut,
    UpstreamFailure,
    Verdict,
)

T = TypeVar("T")

LATE = "The model did not begin to answer in time."
LEAST_PATIENCE_S = 0.01  # with less left until the deadline, another model is not worth asking


class Relay:
    """Asks links in order. Raises ChainFailed when none answered, UpstreamRejected when the request itself is wrong."""

    def __init__(self, upstreams: Upstreams, breakers: Breakers) -> None:
        self._upstreams = upstreams
        self._breakers = breakers
        self._deadlines = Deadlines()

    async def complete(self, call: Call) -> Answer:
        """A whole chat completion."""

        async def ask(link: Link) -> Answer:
            with self._in_time(call, link):
                answer = await self._upstreams.for_target(link.target).complete(link.target, _body_for(call, link))
            call.meter = Meter()
            call.meter.take(answer)
            return answer

        return await self._walk(call, ask)

    async def embed(self, call: Call) -> Answer:
        """Embeddings."""

        async def ask(link: Link) -> Answer:
            with self._in_time(call, link):
                answer = await self._upstreams.for_target(link.target).embed(link.target, _body_for(call, link))
            if not isinstance(answer.data.get("data"), list):
                raise MalformedAnswer("The provider's answer has no embeddings.")
            call.meter = Meter()
            call.meter.tokens = answer.tokens
            return answer

        return await self._walk(call, ask)

    async def stream(self, call: Call, *, buffered: bool) -> Stream:
        """A streamed chat completion, once its first content is here (`buffered`: once it is whole)."""

        async def ask(link: Link) -> Stream:
            source = self._upstreams.for_target(link.target).stream(link.target, _body_for(call, link))
            return await self._open(call, link, source, buffered=buffered)

        return await self._walk(call, ask)

    async def _walk(self, call: Call, ask: Callable[[Link], Awaitable[T]]) -> T:
        too_small: Link | None = None
        for link in call.route.links:
            is_last = link is call.route.links[-1]
            if call.remaining_s < LEAST_PATIENCE_S or _is_no_larger(link, too_small):
                continue
            if not is_last and not await self._may_try(call, link):
                call.begin(link).end(BreakerOpen("It failed several times in a row and rests for a while."))
                continue
            try:
                return await self._ask_link(
                    call, link, ask, patience_s=call.remaining_s if is_last else link.retry_after_max_s
                )
            except UpstreamFailure as failure:
                if _stops(call.route, failure):
                    raise UpstreamRejected(failure, call.attempts) from failure
                too_small = link if isinstance(failure, ContextWindowExceeded) else too_small
        if not call.attempts:
            call.begin(call.route.links[0]).end(TimedOut("The request's deadline had passed before it could be asked."))
        last = call.attempts[-1].failure
        if isinstance(last, ContextWindowExceeded):
            raise UpstreamRejected(last, call.attempts)
        raise ChainFailed(call.attempts, call.route.advice)

    async def _ask_link(self, call: Call, link: Link, ask: Callable[[Link], Awaitable[T]], *, patience_s: float) -> T:
        """Ask one link, and once more after a reset, a 500, or a short Retry-After."""
        try:
            return await self._attempt(call, link, ask)
        except RateLimited as failure:
            wait_s = failure.retry_after_s
            if wait_s is None or wait_s > patience_s or wait_s >= call.remaining_s:
                raise
            await asyncio.sleep(wait_s)
            call.waited_ms += wait_s * 1000
        except UpstreamFailure as failure:
            if failure.verdict is not Verdict.RETRY or call.remaining_s < LEAST_PATIENCE_S:
                raise
        return await self._attempt(call, link, ask)

    async def _attempt(self, call: Call, link: Link, ask: Callable[[Link], Awaitable[T]]) -> T:
        attempt = call.begin(link)
        call.served_by = link
        try:
            answer = await ask(link)
        except UpstreamFailure as failure:
            failure.redact(link.target.api_key)
            attempt.end(failure)
            call.served_by = None
            if failure.trips_breaker:
                self._breakers.failed(link.model)
            raise
        except asyncio.CancelledError:
            attempt.end(Abandoned("The caller hung up."))
            raise
        attempt.end()
        call.content_began()
        if call.admission and link.model in call.admission.breakers:
            self._breakers.succeeded(link.model)
        return answer

    async def _may_try(self, call: Call, link: Link) -> bool:
        if call.admission is None:
            return True
        return await self._breakers.may_try(link.model, call.admission.breakers, call.admission.at_ms)

    async def _open(self, call: Call, link: Link, source: AsyncIterator[Sequence[Event]], *, buffered: bool) -> Stream:
        meter = Meter()
        head: list[Event] = []
        stream = Stream(source, meter, head, link.stall_timeout_s)
        try:
            with self._in_time(call, link):
                await _read_to_content(stream)
            while buffered and (events := await stream.read_before_stall()) is not None:
                head += events
        except BaseException:
            await stream.close()
            raise
        call.meter = meter
        return stream

    def _in_time(self, call: Call, link: Link) -> Wait:
        """For what has to be there before the link's patience and the request's deadline end; raises TimedOut."""
        patience_s = min(link.first_token_timeout_s, call.remaining_s)
        callers_own = call.deadline_s < call.route.deadline_s and patience_s < link.first_token_timeout_s
        return self._deadlines.within(patience_s, _callers_late if callers_own else _late)


def _late() -> TimedOut:
    return TimedOut(LATE)


def _callers_late() -> CallerTimedOut:
    return CallerTimedOut(LATE)


async def _read_to_content(stream: Stream) -> None:
    while not stream.meter.has_content:
        events = await stream.read()
        if events is None:
            return
        stream.head += events


def _body_for(call: Call, link: Link) -> dict[str, Any]:
    body = {**call.body, "model": link.target.model}
    return body if call.cap is None else capped(body, call.cap, link.target.kind)


def _is_no_larger(link: Link, too_small: Link | None) -> bool:
    """Whether the link surely cannot hold what another one could not. An unknown window may be large enough."""
    if too_small is None or link.context_window is None or too_small.context_window is None:
        return False
    return link.context_window <= too_small.context_window


def _stops(route: Route, failure: UpstreamFailure) -> bool:
    if failure.verdict is not Verdict.STOP:
        return False
    allowed = (
        route.fall_back_on_content_policy if isinstance(failure, ContentRefused) else route.fall_back_on_client_errors
    )
    return not allowed
