"""A comparison under way: all slots at the same time, in a task that belongs to the process, not to the caller."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from accounts.errors import PartUnavailable
from accounts.sql import run_sql
from comparisons.hold import Hold
from comparisons.models import Answer, Comparison
from comparisons.models.answer import AnswerStatus
from comparisons.recording import entry
from comparisons.recording.journal import Journal
from comparisons.slot import Slot
from comparisons.underway import own, own_confirmation
from proxy.call import Call
from proxy.gateway import Gateway
from proxy.idempotency import RequestInFlight

logger = logging.getLogger(__name__)

# A caller waits no longer than this for its result to be safe in Redis; it gets there all the same.
RECORDING_PATIENCE_S = 0.25

# Steps that may wait for a caller who reads slowly, or not at all: then the run goes on without.
MOST_STEPS = 10_000

Kind = Literal["created", "started", "delta", "ended", "done", "lost"]


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened. `chunks`: what a `delta` brought, as the provider's chunks.

    After `done`, or `lost` for a follower who fell too far behind, nothing comes.
    """

    kind: Kind
    slot: int = -1
    chunks: Sequence[dict[str, Any]] = ()


class Run:
    """Fills in a comparison and its answers, and records them.

    `calls` are those of the last answers: whatever comes before them is answered already. `tags`: its tags' names.
    `hold`: what it has of an idempotency key; then its answer is kept, so that it goes on without its caller even where
    it is not stored.
    """

    is_replay: ClassVar[bool] = False

    def __init__(
        self,
        gateway: Gateway,
        comparison: Comparison,
        answers: Sequence[Answer],
        calls: Sequence[Call],
        tags: Sequence[str],
        *,
        store: bool,
        cancel_on_disconnect: bool,
        hold: Hold | None = None,
    ) -> None:
        self.comparison = comparison
        self.answers = list(answers)
        self.calls = list(calls)
        self.tags = list(tags)
        self.is_stored = store
        self._cancels = cancel_on_disconnect or not (store or hold)
        self._hold = hold
        self._gateway = gateway
        self._journal = Journal(gateway.redis, gateway.ledger) if store else None
        self._steps: asyncio.Queue[Step] | None = None
        self._task: asyncio.Task[None] | None = None
        self._given = self.answers[: len(answers) - len(calls)]
        asked = self.answers[len(self._given) :]
        self._slots = [self._slot(call, answer) for call, answer in zip(calls, asked, strict=True)]

    def _slot(self, call: Call, answer: Answer) -> Slot:
        def publish(chunks: Sequence[dict[str, Any]]) -> None:
            self._publish(Step("delta", answer.slot, chunks))

        return Slot(self._gateway, call, answer, self.comparison.timeout_s, publish)

    def start(self) -> None:
        """Create its rows, so that reading it finds it running, then ask every slot: all in a task of its own."""
        self._task = own(self._run())

    async def wait(self) -> None:
        """Until every slot has ended. A caller who hangs up ends the wait, and the run only if it said so."""
        if self._task:
            try:
                await asyncio.shield(self._task)
            except asyncio.CancelledError:
                self.leave()
                raise

    def follow(self) -> AsyncIterator[Step]:
        """What happens from now on, to its end. To be called before `start`."""
        self._steps = asyncio.Queue()
        return self._following(self._steps)

    async def _following(self, steps: asyncio.Queue[Step]) -> AsyncIterator[Step]:
        while True:
            step = await steps.get()
            yield step
            if step.kind in {"done", "lost"}:
                return

    def leave(self) -> None:
        """The caller has gone: nobody follows, and what was to be cancelled is."""
        self._steps = None
        if self._cancels and self._task:
            # Not at once: a task that is cancelled before its first step never runs, and so would note nothing.
            asyncio.get_running_loop().call_soon(self._task.cancel)

    async def _run(self) -> None:
        """Ends well whatever its slots do; a cancellation interrupts them and is noted like any other end."""
        began = time.perf_counter()
        try:
            await self._create()
            if self._hold:
                await self._hold.begun(self.comparison)
            self._publish(Step("created"))
            for answer in self._given:
                self._publish(Step("ended", answer.slot))
            async with asyncio.TaskGroup() as group:
                for slot in self._slots:
                    group.create_task(self._answer(slot))
        except asyncio.CancelledError as cancelled:  # by `leave`, or at a stop of the process
            self._interrupt(cancelled)
        except RequestInFlight as lost:  # this process stood still, and another one has the key: nobody was asked yet
            self._interrupt(lost)
        except Exception as mistake:
            logger.exception("Unexpected error in comparison %s", self.comparison.pk)
            self._interrupt(mistake)
        self._end(round((time.perf_counter() - began) * 1000))
        self._publish(Step("done"))
        if self._journal:
            await self._journal.flushed(RECORDING_PATIENCE_S)
            own_confirmation(self._journal.keep_until_written())

    def _interrupt(self, error: BaseException) -> None:
        for slot in self._slots:
            if slot.answer.status == AnswerStatus.RUNNING:
                slot.interrupt(error)
                self._note_end_of(slot)

    async def _create(self) -> None:
        """Where the database does not answer, the journal creates the rows when it does."""
        if self._journal:
            try:
                await run_sql(entry.create, self.comparison, self.answers, self.tags)
            except (PartUnavailable, asyncio.CancelledError) as error:
                self._journal.note(entry.created(self.comparison, self.answers, self.tags))
                if isinstance(error, asyncio.CancelledError):
                    raise

    async def _answer(self, slot: Slot) -> None:
        self._publish(Step("started", slot.answer.slot))
        await slot.run()
        self._note_end_of(slot)

    def _note_end_of(self, slot: Slot) -> None:
        if self._journal:
            self._journal.note(entry.answered(slot.answer))
        self._publish(Step("ended", slot.answer.slot))

    def _end(self, wall_ms: int) -> None:
        interrupted = any(answer.status == AnswerStatus.INTERRUPTED for answer in self.answers)
        self.comparison.wall_ms = wall_ms
        self.comparison.end(self.answers, interrupted=interrupted)
        if self._journal:
            self._journal.note(entry.ended(self.comparison))
        if self._hold:
            self._hold.ended(self.comparison, self.answers, self.tags)

    def _publish(self, step: Step) -> None:
        if self._steps and self._steps.qsize() >= MOST_STEPS:
            self._lose(self._steps)
        elif self._steps:
            self._steps.put_nowait(step)

    def _lose(self, steps: asyncio.Queue[Step]) -> None:
        """Whoever does not read is taken for gone."""
        self.leave()
        while not steps.empty():
            steps.get_nowait()
        steps.put_nowait(Step("lost"))
