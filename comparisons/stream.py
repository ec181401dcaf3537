"""A comparison as one stream of named events, each with a sequence number.

comparison.created   the comparison as it begins
answer.started       {slot, label, requested_model, request_id}
answer.delta         {slot, delta}: the text that came; `reasoning` beside it where the model thinks aloud
answer.done          {slot, …}: the answer's whole entry; answer.error the same, with its error
comparison.done      the comparison with its summary; its answers were told one by one
error                {error}, and the end: for a caller who reads so slowly that too much waits
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import orjson

from comparisons.errors import ReadTooSlowly
from comparisons.models.answer import AnswerStatus
from comparisons.replay import Told
from comparisons.run import Step
from proxy.http.keep_alive import KeepAlive
from proxy.http.response import EventStreamResponse, Write

REASONING = ("reasoning_content", "reasoning")


class ComparisonStream(EventStreamResponse):
    """Follows a run, which is to be started after this, to its end. A caller who hangs up leaves it to itself."""

    def __init__(self, told: Told, pages: str, headers: Mapping[str, str]) -> None:
        super().__init__(headers)
        self._told = told
        self._url = pages + told.comparison.pk
        self._steps = told.follow()

    async def pump(self, write: Write) -> bytes:
        try:
            async with KeepAlive(write) as quiet_write:
                await self._tell(self._steps, quiet_write)
        except BaseException:
            self._told.leave()
            raise
        return b""

    async def _tell(self, steps: AsyncIterator[Step], write: Write) -> None:
        number = 0
        async for step in steps:
            for name, data in self._events(step):
                number += 1
                await write(b"event: %s\nid: %d\ndata: %s\n\n" % (name.encode(), number, orjson.dumps(data)))

    def _events(self, step: Step) -> Iterator[tuple[str, dict[str, Any]]]:
        comparison, answers = self._told.comparison, self._told.answers
        match step.kind:
            case "created":
                yield "comparison.created", comparison.public(answers, self._told.tags, self._url)
            case "started":
                entry = answers[step.slot].public()
                yield "answer.started", {name: entry[name] for name in STARTED}
            case "delta":
                if said := spoken(step.chunks):
                    yield "answer.delta", {"slot": step.slot, **said}
            case "ended":
                answer = answers[step.slot]
                name = "answer.done" if answer.status == AnswerStatus.OK else "answer.error"
                yield name, answer.public()
            case "done":
                whole = comparison.public(answers, self._told.tags, self._url)
                del whole["answers"]
                yield "comparison.done", whole
            case "lost":
                yield "error", {"error": too_slow(self._told)}


STARTED = ("slot", "label", "requested_model", "request_id")


def too_slow(told: Told) -> dict[str, Any]:
    """What stands under "error" at the end of a stream that was read too slowly."""
    return ReadTooSlowly(told.comparison.pk, is_stored=told.is_stored).body(told.calls[0].request_id)


def spoken(chunks: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the chunks say of the first choice: `delta` its text, `reasoning` what it thinks; {} for neither."""
    deltas = [
        choice.get("delta") or {}
        for chunk in chunks
        for choice in chunk.get("choices") or ()
        if not choice.get("index")
    ]
    text = "".join(_texts(deltas, ("content", "refusal")))
    thoughts = "".join(_texts(deltas, REASONING))
    if not text and not thoughts:
        return {}
    return {"delta": text, "reasoning": thoughts} if thoughts else {"delta": text}


def _texts(deltas: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Iterator[str]:
    for delta in deltas:
        yield next((delta[name] for name in names if isinstance(delta.get(name), str)), "")
