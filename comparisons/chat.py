"""`model: "compare:a,b,c"`: a comparison for clients that know nothing but chats. One choice for each slot.

{…, "choices": [{"index": 0, "message": {…}, "finish_reason": "stop", "model": "a"},
                {"index": 1, "message": {…, "content": null}, "finish_reason": "error", "error": {…}}],
 "usage": the sum of all, "comparison": {"id", "url", "status", "summary"}}
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import orjson

from accounts.errors import InvalidRequest
from comparisons.models import Answer
from comparisons.models.answer import AnswerStatus
from comparisons.replay import Told
from comparisons.request import FEWEST_SLOTS, MOST_SLOTS, ComparisonRequest, SlotRequest
from comparisons.run import Step
from comparisons.stream import too_slow
from proxy.chat import ChatRequest
from proxy.http.keep_alive import KeepAlive
from proxy.http.response import EventStreamResponse, Write
from proxy.upstreams.sse import DONE

PREFIX = "compare:"
# What a chat is asked with that is no parameter of its models.
NOT_PARAMS = frozenset({"messages", "stream", "stream_options", "store"})


def is_comparison(data: Any) -> bool:
    """Whether a chat's decoded body asks for one."""
    model = data.get("model") if isinstance(data, dict) else None
    return isinstance(model, str) and model.startswith(PREFIX)


def parse(data: Mapping[str, Any], timeout_s: float | None) -> ComparisonRequest:
    """The comparison that a chat asks for; raises InvalidRequest."""
    names = [name.strip() for name in data["model"].removeprefix(PREFIX).split(",")]
    if not FEWEST_SLOTS <= len(names) <= MOST_SLOTS or not all(names):
        raise InvalidRequest(
            f"Name {FEWEST_SLOTS} to {MOST_SLOTS} models to compare, for example compare:a,b.", param="model"
        )
    for param in ("models", "fallbacks"):
        if data.get(param) is not None:
            raise InvalidRequest(f"A comparison has no {param}. Name all models in model: compare:a,b.", param=param)
    if data.get("n") not in {None, 1}:
        raise InvalidRequest("A comparison answers one choice for each model. Leave n out.", param="n")
    chat = ChatRequest.parse(data)
    params = {name: value for name, value in chat.body.items() if name not in NOT_PARAMS}
    messages = chat.body["messages"]
    body = {"messages": messages, **params}
    return ComparisonRequest(
        slots=tuple(SlotRequest(slot, chr(ord("A") + slot), name, {}, body) for slot, name in enumerate(names)),
        messages=messages,
        params=params,
        stream=chat.stream,
        timeout_s=timeout_s,
        store=data.get("store") is not False,
        wants_usage_chunk=chat.wants_usage_chunk,
    )


def completion(told: Told, model: str, page: str) -> dict[str, Any]:
    """The chat.completion of what has ended."""
    return {
        **_head(told, model, "chat.completion"),
        "choices": [_choice(answer) for answer in told.answers],
        "usage": _usage(told.answers),
        "comparison": _about(told, page),
    }


class ChoicesStream(EventStreamResponse):
    """The same as chunks. `head`: the steps up to the first content, which the answer was held for."""

    def __init__(
        self,
        told: Told,
        model: str,
        page: str,
        head: Sequence[Step],
        rest: AsyncIterator[Step],
        headers: Mapping[str, str],
        *,
        usage_chunk: bool,
    ) -> None:
        super().__init__(headers)
        self._told = told
        self._page = page
        self._chunk = _head(told, model, "chat.completion.chunk")
        self._head = head
        self._rest = rest
        self._usage_chunk = usage_chunk
        self._is_cut = False

    async def pump(self, write: Write) -> bytes:
        try:
            async with KeepAlive(write) as quiet_write:
                for step in self._head:
                    await self._tell(step, quiet_write)
                async for step in self._rest:
                    await self._tell(step, quiet_write)
        except BaseException:
            self._told.leave()
            raise
        return b"" if self._is_cut else DONE

    async def _tell(self, step: Step, write: Write) -> None:
        if step.kind == "lost":
            self._is_cut = True
            await write(b"data: " + orjson.dumps({"error": too_slow(self._told)}) + b"\n\n")
        for fields in self._fields(step):
            await write(b"data: " + orjson.dumps({**self._chunk, **fields}) + b"\n\n")

    def _fields(self, step: Step) -> list[dict[str, Any]]:
        """What each of the step's chunks says."""
        if step.kind == "delta":
            choices = [_of_slot(chunk, step.slot) for chunk in step.chunks]
            return [{"choices": each} for each in choices if each]
        if step.kind == "ended" and self._told.answers[step.slot].status != AnswerStatus.OK:
            failed = _failed(self._told.answers[step.slot])
            return [{"choices": [{**failed, "delta": {}}]}]
        if step.kind == "done":
            usage = [{"choices": [], "usage": _usage(self._told.answers)}] if self._usage_chunk else []
            # Clients take for granted that every chunk has a choice, but for that of the usage.
            nothing = {"index": 0, "delta": {}, "finish_reason": None}
            return [{"choices": [nothing], "comparison": _about(self._told, self._page)}, *usage]
        return []


def _head(told: Told, model: str, kind: str) -> dict[str, Any]:
    created = int(told.comparison.created_at.timestamp())
    return {"id": told.comparison.pk, "object": kind, "created": created, "model": model}


def _choice(answer: Answer) -> dict[str, Any]:
    """The first choice of the answer; of a failed one what it said before it broke off."""
    if answer.response is None:
        message = {"role": "assistant", "content": answer.content or None, "refusal": None}
        return {**_failed(answer), "message": message}
    choice: dict[str, Any] = answer.response["choices"][0]
    return {**choice, "index": answer.slot, "model": answer.resolved_model}


def _failed(answer: Answer) -> dict[str, Any]:
    return {
        "index": answer.slot,
        "finish_reason": "error",
        "logprobs": None,
        "model": answer.requested_model,
        "error": answer.error,
    }


def _of_slot(chunk: Mapping[str, Any], slot: int) -> list[dict[str, Any]]:
    return [{**choice, "index": slot} for choice in chunk.get("choices") or () if not choice.get("index")]


def _usage(answers: Sequence[Answer]) -> dict[str, int]:
    prompt = sum(answer.prompt_tokens for answer in answers)
    written = sum(answer.completion_tokens for answer in answers)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _about(told: Told, page: str) -> dict[str, Any]:
    comparison = told.comparison
    return {
        "id": comparison.pk,
        "url": page,
        "status": comparison.status,
        "summary": comparison.summary(told.answers),
    }
