"""A comparison that has ended, told again as if it happened now: what a sent-again request is given for a run."""

from collections.abc import AsyncIterator, Iterator, Sequence
from copy import copy
from typing import Any, ClassVar

from comparisons.models import Answer, Comparison
from comparisons.models.comparison import Status
from comparisons.run import Run, Step
from proxy.call import Call
from proxy.chunks import chunks_of


class Replay:
    """To be used like a `Run`. At first it shows the comparison as it began, at the end as it ended.

    `calls`: those of the last answers, admitted as hits of the cache and finished.
    """

    is_replay: ClassVar[bool] = True
    is_stored: ClassVar[bool] = True  # as far as anybody who reads too slowly is concerned: it can be asked for again

    def __init__(
        self, comparison: Comparison, answers: Sequence[Answer], calls: Sequence[Call], tags: Sequence[str]
    ) -> None:
        self.calls = list(calls)
        self.tags = list(tags)
        self._ended = comparison
        self._ends = list(answers)
        self._given = len(answers) - len(calls)
        self.comparison = _as_it_began(comparison)
        self.answers = [*answers[: self._given], *map(_not_answered_yet, answers[self._given :])]

    def start(self) -> None:
        """There is nothing to start."""

    async def wait(self) -> None:
        """Until it has ended."""
        self.comparison, self.answers = self._ended, self._ends

    async def follow(self) -> AsyncIterator[Step]:
        """Its steps, one slot after the other."""
        for step in self._steps():
            yield step

    def leave(self) -> None:
        """Nothing goes on."""

    def _steps(self) -> Iterator[Step]:
        yield Step("created")
        for place, answer in enumerate(self._ends):
            if place >= self._given:
                yield Step("started", answer.slot)
                if said := _said(answer):
                    yield Step("delta", answer.slot, said)
                self.answers[place] = answer
            yield Step("ended", answer.slot)
        self.comparison, self.answers = self._ended, self._ends
        yield Step("done")


# What both are used as.
Told = Run | Replay


def _as_it_began(comparison: Comparison) -> Comparison:
    began = copy(comparison)
    began.status, began.finished_at, began.wall_ms, began.cost_microusd = Status.RUNNING, None, None, 0
    return began


def _not_answered_yet(answer: Answer) -> Answer:
    return Answer(
        slot=answer.slot,
        label=answer.label,
        requested_model=answer.requested_model,
        params=answer.params,
        request_id=answer.request_id,
    )


def _said(answer: Answer) -> list[dict[str, Any]]:
    """As chunks: the whole answer, or how far it came."""
    if answer.response:
        return list(chunks_of(answer.response))
    if not answer.content:
        return []
    return [{"choices": [{"index": 0, "delta": {"role": "assistant", "content": answer.content}}]}]
