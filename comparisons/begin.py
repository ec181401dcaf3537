"""From a checked request to a run: admitted, with the rows that it will fill in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from comparisons.admission import admit
from comparisons.hold import Hold
from comparisons.models import Answer, Comparison
from comparisons.models.comparison import PROMPT_LENGTH, Source
from comparisons.request import ComparisonRequest
from comparisons.run import Run
from proxy.call import Call
from proxy.gateway import DecideAll, Gateway


@dataclass(frozen=True, slots=True)
class Wanted:
    """A comparison that somebody asks for.

    `decide`: makes its calls (`comparisons.admission.deciding`); `successor_of`: the comparison that it runs again;
    `logged`: an answer that is there already and comes first.
    """

    asked: ComparisonRequest
    decide: DecideAll
    source: Source
    successor_of: str | None = None
    logged: Answer | None = None


async def begin(gateway: Gateway, wanted: Wanted, hold: Hold | None = None) -> Run:
    """A run that is to be started. `hold`: what it has of an idempotency key.

    Raises SlotsRefused, InvalidCredential, NotPermitted, and the ledger's refusals: then nothing was spent.
    """
    asked = wanted.asked
    calls = await admit(gateway, wanted.decide)
    comparison = _comparison(wanted, calls[0], gateway.ledger.process)
    answers = _answers(comparison, asked, calls)
    if wanted.logged:
        wanted.logged.comparison = comparison
        answers.insert(0, wanted.logged)
    return Run(
        gateway,
        comparison,
        answers,
        calls,
        asked.tags,
        store=asked.store,
        cancel_on_disconnect=asked.cancel_on_disconnect,
        hold=hold,
    )


def _comparison(wanted: Wanted, call: Call, process: str) -> Comparison:
    asked, caller = wanted.asked, call.caller
    return Comparison(
        tenant_id=cast(int, caller.tenant_id),  # who may compare has one
        author_id=caller.user_id,
        author_name=caller.username,
        title=asked.title,
        messages=asked.messages,
        prompt=asked.prompt[:PROMPT_LENGTH],
        params=asked.params,
        source=wanted.source,
        successor_of_id=wanted.successor_of,
        from_request=asked.from_request,
        streamed=asked.stream,
        cache=asked.cache,
        fallbacks=asked.fallbacks,
        timeout_s=asked.timeout_s,
        process=process,
    )


def _answers(comparison: Comparison, asked: ComparisonRequest, calls: Sequence[Call]) -> list[Answer]:
    return [
        Answer(
            comparison=comparison,
            slot=slot.number,
            label=slot.label,
            requested_model=slot.model[:200],
            params=slot.params,
            request_id=call.request_id,
        )
        for slot, call in zip(asked.slots, calls, strict=True)
    ]
