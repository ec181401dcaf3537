"""One slot of a comparison: its own call, timeout, error, usage row. Whatever happens to it stays with it."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from accounts.errors import GatewayError
from comparisons.models import Answer
from comparisons.models.answer import AnswerStatus
from proxy.assembly import Assembly, content_of
from proxy.attempts import Attempt
from proxy.call import Call
from proxy.gateway import Gateway
from proxy.http.stream import CHECKPOINT_EVERY
from proxy.metering import measure
from proxy.stream import Stream
from proxy.upstreams.failures import CallerTimedOut, UpstreamFailure

logger = logging.getLogger(__name__)

# Below this, what came after the first token came with it: a rate per second would say nothing.
LEAST_WRITING_S = 0.05
CANCELLED = {
    "type": "gateway_error",
    "code": "interrupted",
    "status": 499,
    "message": "The comparison was cancelled before this model had answered. Run it again.",
}

Publish = Callable[[Sequence[dict[str, Any]]], None]


class Slot:
    """Asks one model and fills in its `answer`. `publish` is told each group of chunks as it arrives.

    Every answer is streamed from its provider, whether the caller streams or not: only so is the time to the first
    token known.
    """

    def __init__(self, gateway: Gateway, call: Call, answer: Answer, timeout_s: float | None, publish: Publish) -> None:
        self.answer = answer
        self.call = call
        self._gateway = gateway
        self._timeout_s = timeout_s
        self._publish = publish
        self._assembly = Assembly()
        self._began = time.perf_counter()

    async def run(self) -> None:
        """Raises nothing but its own cancellation; `interrupt` notes that."""
        self._began = time.perf_counter()
        try:
            await self._ask()
        except Exception as mistake:
            logger.exception("Unexpected error in request %s of a comparison", self.call.request_id)
            self._fail(
                mistake, GatewayError("The gateway made a mistake. Run it again; if it happens again, report it.")
            )

    async def _ask(self) -> None:
        try:
            await self._in_time()
        except GatewayError as failure:
            self._fail(failure, failure)
        except UpstreamFailure as failure:
            await self._cut(failure)

    async def _in_time(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                if self.call.cached:
                    self._take(orjson.loads(self.call.cached.raw))
                else:
                    await self._relay()
        except TimeoutError as error:
            raise CallerTimedOut(f"The answer was not whole within {self._timeout_s:g} s.") from error
        await measure(self.call)
        self._succeed()

    def _take(self, completion: dict[str, Any]) -> None:
        """An answer that is here already."""
        self._note_first_token()
        self.answer.response = completion
        message = completion["choices"][0]["message"]
        self._publish([{"choices": [{"index": 0, "delta": message, "finish_reason": "stop"}]}])

    async def _relay(self) -> None:
        stream = await self._gateway.relay.stream(self.call, buffered=False)
        try:
            self._note_first_token()
            await self._read(stream)
        finally:
            await stream.close()
        self.answer.response = self._assembly.completion()

    async def _read(self, stream: Stream) -> None:
        checkpoint = CHECKPOINT_EVERY
        self._publish(self._assembly.feed(stream.head))
        async for events in stream:
            self._publish(self._assembly.feed(events))
            if stream.meter.delivered.pieces >= checkpoint:
                checkpoint += CHECKPOINT_EVERY
                self._gateway.checkpoint(self.call)

    def _succeed(self) -> None:
        response = self.answer.response or {}
        self.answer.status = AnswerStatus.OK
        self.answer.content = content_of(response)
        self._measured(response.get("usage"))
        keep = b"" if self.call.cached else orjson.dumps(response)
        self._gateway.finish(self.call, answer=keep if self.call.cached_name else b"")

    async def _cut(self, failure: UpstreamFailure) -> None:
        """An answer that broke off; what came of it is kept, and paid for."""
        if self.call.served_by:
            failure.redact(self.call.served_by.target.api_key)
        if self.call.attempts:
            self.call.attempts[-1].end(failure)
        await measure(self.call)
        self.answer.content = self._assembly.content
        self.answer.error = {
            "type": "upstream_error",
            "code": failure.code,
            "status": 504 if isinstance(failure, CallerTimedOut) else 502,
            "message": f"The model broke off in mid-answer: {failure.message}",
            "attempts": _public(self.call.attempts),
        }
        self.answer.status = AnswerStatus.ERROR
        self._measured(None)
        self._gateway.finish(self.call, failure)

    def _fail(self, error: BaseException, told: GatewayError) -> None:
        self.answer.status = AnswerStatus.ERROR
        self.answer.error = {
            "type": told.type,
            "code": told.code,
            "status": told.http_status,
            "message": told.message,
            "attempts": _public(self.call.attempts),
        }
        self._measured(None)
        self._gateway.finish(self.call, error)

    def interrupt(self, cancelled: BaseException) -> None:
        """Note that it was cancelled, with what it had said so far."""
        self.answer.status = AnswerStatus.INTERRUPTED
        self.answer.content = self._assembly.content
        self.answer.error = dict(CANCELLED)
        self._measured(None)
        self._gateway.finish(self.call, cancelled)

    def _note_first_token(self) -> None:
        self.answer.ttft_ms = round((time.perf_counter() - self._began) * 1000)

    def _measured(self, usage: Any) -> None:
        """Times, tokens and cost, as far as they are known."""
        call, answer = self.call, self.answer
        latency_s = time.perf_counter() - self._began
        answer.latency_ms = round(latency_s * 1000)
        if call.cached:
            answer.resolved_model, answer.provider = call.cached.model, call.cached.provider
        elif call.served_by:
            answer.resolved_model, answer.provider = call.served_by.model, call.served_by.target.provider
        if call.tokens is None:
            return
        answer.prompt_tokens, answer.completion_tokens = call.tokens.prompt, call.tokens.completion
        answer.cost_microusd = call.cost_microusd
        answer.usage = (
            usage
            if isinstance(usage, dict)
            else {
                "prompt_tokens": call.tokens.prompt,
                "completion_tokens": call.tokens.completion,
                "total_tokens": call.tokens.total,
            }
        )
        if call.tokens.completion:
            answer.output_tokens_per_s = _rate(call.tokens.completion, latency_s, (answer.ttft_ms or 0) / 1000)


def _rate(tokens: int, latency_s: float, first_s: float) -> float:
    """Tokens a second while it was writing; over the whole time where the answer came at once."""
    writing_s = latency_s - first_s
    return round(tokens / (writing_s if writing_s >= LEAST_WRITING_S else max(latency_s, 0.001)), 1)


def _public(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    return [attempt.public() for attempt in attempts]
