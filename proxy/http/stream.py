"""An answer as server-sent events. The stream itself writes, so that its end is always its own to see."""

import logging
from collections.abc import Sequence

import orjson
from django.conf import settings

from accounts.errors import GatewayError
from proxy.call import Call
from proxy.errors import UpstreamError
from proxy.gateway import Gateway
from proxy.http.outlet import Outlet
from proxy.http.response import EventStreamResponse, Write, never
from proxy.silence import SilenceWatch
from proxy.stream import Stream
from proxy.upstreams.base import Event
from proxy.upstreams.failures import UpstreamFailure
from proxy.upstreams.fast_path import FastPath
from proxy.upstreams.sse import DONE, KEEP_ALIVE

logger = logging.getLogger(__name__)

# With what is delivered while a checkpoint is on its way to Redis, a crash leaves at most 256 unbilled.
CHECKPOINT_EVERY = 192


class EventStream(EventStreamResponse):
    """Writes a relayed stream to the caller, and finishes its call however it ends.

    A comment goes out whenever nothing else was written for a while: no proxy between takes the answer for dead. While
    a caller who reads slowly is waited for, there is no silence to fill.
    """

    def __init__(self, gateway: Gateway, call: Call, stream: Stream, *, usage_chunk: bool) -> None:
        super().__init__(call.headers())
        self._gateway = gateway
        self._call = call
        self._stream = stream
        self._delivered = stream.meter.delivered
        self._usage_chunk = usage_chunk
        self._checkpoint = CHECKPOINT_EVERY
        self._last = b""

    async def pump(self, write: Write) -> bytes:
        """Write until the answer is whole, breaks off, or the caller hangs up (which cancels this)."""
        write_at_once = self.exchange.write_at_once if self.exchange else never
        self._outlet = outlet = Outlet(write, self._hold, self._stream.go_on, write_at_once)
        self._fast_path = FastPath(self._delivered)
        try:
            error = await self._deliver()
            await outlet.drain()
        finally:
            outlet.close()
        return self._last + (DONE if error is None else _error_event(error, self._call))

    async def _deliver(self) -> BaseException | None:
        """Write the answer, and finish its call; returns what broke it off."""
        error: BaseException | None = None
        self._silence = SilenceWatch(settings.GATEWAY_KEEP_ALIVE_S, self._fill_silence, self._delivered)
        try:
            error = await self._relay()
            await self._outlet.drain()
        except Exception as mistake:  # the caller is told of it as of any other end
            logger.exception("Unexpected error in the stream of request %s", self._call.request_id)
            error = mistake
        except BaseException as ended_by:
            error = ended_by
            raise
        finally:
            self._silence.stop()
            self._gateway.finish(self._call, error)
            await self._stream.close()
        return error

    async def _relay(self) -> UpstreamFailure | None:
        """Returns the failure of an answer that broke off."""
        try:
            self._take(self._stream.head)
            await self._stream.flow(self._take, self._fast_path)
        except UpstreamFailure as failure:
            if self._call.served_by:
                failure.redact(self._call.served_by.target.api_key)
            self._call.attempts[-1].end(failure)
            return failure
        return None

    def _take(self, events: Sequence[Event]) -> None:
        if self._call.transcript:
            self._call.transcript.hear(events)
        if not self._usage_chunk and self._stream.meter.tokens:  # one of these may tell them
            events = [event for event in events if not _is_usage_chunk(event)]
        if events:
            data = events[0].raw if len(events) == 1 else b"".join([event.raw for event in events])
            if self._stream.has_ended and self._can_write_last():
                self._last = data
            else:
                self._outlet.write(data)
                self._silence.heard = True
        if self._delivered.pieces >= self._checkpoint:
            self._checkpoint = self._delivered.pieces + CHECKPOINT_EVERY
            self._gateway.checkpoint(self._call)
        if self.exchange is None or self._outlet.is_full or self._call.transcript:
            return
        if transport := self.exchange.chunk_writer(self._fast_path.stop):
            self._fast_path.open(transport, self._checkpoint - 1)

    def _can_write_last(self) -> bool:
        """Whether what is left can go out with the end of the response in a moment, so that no hang-up is missed."""
        return self.exchange is not None and not self._outlet.is_full and not self.exchange.waits_for_caller

    def _hold(self) -> None:
        self._fast_path.stop()  # what is kept goes first
        self._stream.hold()

    def _fill_silence(self) -> None:
        if not self._outlet.is_full:
            self._outlet.write(KEEP_ALIVE)


def _is_usage_chunk(event: Event) -> bool:
    data = event.data
    return data is not None and data.get("choices") == [] and bool(data.get("usage"))


def _error_event(error: BaseException, call: Call) -> bytes:
    """The honest end of an answer that was cut: one typed event, never `[DONE]`."""
    refusal: GatewayError
    if isinstance(error, UpstreamFailure):
        message = f"The model broke off in mid-answer ({error.code}). What came so far is incomplete: ask again."
        refusal = UpstreamError(message, call.attempts, status=502, code=error.code)
    else:
        refusal = GatewayError(
            "The gateway made a mistake in mid-answer. What came so far is incomplete: ask again. If it happens again, "
            "report the request id."
        )
    return b"data: " + orjson.dumps({"error": refusal.body(call.request_id)}) + b"\n\n"
