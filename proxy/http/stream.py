"""An answer as server-sent events. The stream itself writes, so that its end is always its own to see."""

import asyncio
import logging
from collections.abc import Sequence

import orjson
from django.conf import settings

from accounts.errors import GatewayError
from proxy.call import Call
from proxy.errors import UpstreamError
from proxy.gateway import Gateway
from proxy.http.response import EventStreamResponse, Write, set_headers
from proxy.meter import join
from proxy.relay import Stream
from proxy.upstreams.base import Event
from proxy.upstreams.failures import UpstreamFailure
from proxy.upstreams.sse import DONE, KEEP_ALIVE

logger = logging.getLogger(__name__)

# With what is delivered while a checkpoint is on its way to Redis, a crash leaves at most 256 unbilled.
CHECKPOINT_EVERY = 192


class EventStream(EventStreamResponse):
    """Writes a relayed stream to the caller, and finishes its call however it ends."""

    def __init__(self, gateway: Gateway, call: Call, stream: Stream, *, usage_chunk: bool) -> None:
        super().__init__()
        set_headers(self, call.headers())
        self._gateway = gateway
        self._call = call
        self._stream = stream
        self._usage_chunk = usage_chunk
        self._checkpoint = CHECKPOINT_EVERY

    async def pump(self, write: Write) -> None:
        """Write until the answer is whole, breaks off, or the caller hangs up (which cancels this)."""
        error: BaseException | None = None
        try:
            async with KeepAlive(write) as quiet_write:
                error = await self._relay(quiet_write)
        except Exception as mistake:  # the caller is told of it as of any other end
            logger.exception("Unexpected error in the stream of request %s", self._call.request_id)
            error = mistake
        except BaseException as ended_by:
            error = ended_by
            raise
        finally:
            self._gateway.finish(self._call, error)
            await self._stream.close()
        await write(DONE if error is None else _error_event(error, self._call))

    async def _relay(self, write: Write) -> UpstreamFailure | None:
        """Returns the failure of an answer that broke off."""
        try:
            await self._write(self._stream.head, write)
            async for events in self._stream:
                await self._write(events, write)
        except UpstreamFailure as failure:
            if self._call.served_by:
                failure.redact(self._call.served_by.target.api_key)
            self._call.attempts[-1].end(failure)
            return failure
        return None

    async def _write(self, events: Sequence[Event], write: Write) -> None:
        if self._call.transcript:
            self._call.transcript.hear(events)
        visible = events
        if not self._usage_chunk and self._stream.meter.tokens:  # one of these may tell them
            visible = [event for event in events if not _is_usage_chunk(event)]
        if visible:
            await write(join(visible))
        if len(self._stream.meter.delivered) >= self._checkpoint:
            self._checkpoint += CHECKPOINT_EVERY
            self._gateway.checkpoint(self._call)


class KeepAlive:
    """Writes a comment whenever nothing else was written for a while: no proxy between takes the answer for dead.

    While a write waits for a caller who reads slowly, there is no silence to fill.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._is_writing = False
        self._comment: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Write:
        self._schedule()
        return self._noted_write

    async def __aexit__(self, *error: object) -> None:
        if self._timer:
            self._timer.cancel()
        if self._comment:
            await asyncio.wait([self._comment])

    async def _noted_write(self, data: bytes) -> None:
        if self._comment:
            await asyncio.wait([self._comment])
        self._is_writing = True
        await self._write(data)
        self._is_writing = False
        self._last = self._loop.time()

    def _schedule(self) -> None:
        self._timer = self._loop.call_at(self._last + settings.GATEWAY_KEEP_ALIVE_S, self._check)

    def _check(self) -> None:
        if self._loop.time() - self._last >= settings.GATEWAY_KEEP_ALIVE_S:
            self._last = self._loop.time()
            if not self._is_writing and self._comment is None:
                self._comment = self._loop.create_task(self._send_comment())
        self._schedule()

    async def _send_comment(self) -> None:
        await self._write(KEEP_ALIVE)
        self._comment = None


def _is_usage_chunk(event: Event) -> bool:
    return event.data is not None and event.data.get("choices") == [] and bool(event.data.get("usage"))


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
