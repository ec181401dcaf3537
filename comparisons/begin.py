"""From a checked request to a run: admitted, with the rows that it will fill in."""

from collections.abc import Sequence
from typing import cast

from comparisons.admission import Authenticate, admit
from comparisons.models import Answer, Comparison
from comparisons.models.comparison import PROMPT_LENGTH, Source
from comparisons.request import ComparisonRequest
from comparisons.run import Run
from proxy.call import Call
from proxy.gateway import Gateway
from proxy.options import Options


async def begin(
    gateway: Gateway,
    asked: ComparisonRequest,
    authenticate: Authenticate,
    *,
    source: Source,
    options: Options,
    successor_of: str | None = None,
    logged: Answer | None = None,
) -> Run:
    """A run that is to be started.

    `options`: what the request's headers ask of every call; `successor_of`: the comparison that it runs again;
    `logged`: an answer that is there already and comes first.

    Raises SlotsRefused, InvalidCredential, NotPermitted, and the ledger's refusals: then nothing was spent.
    """
    calls = await admit(gateway, asked, authenticate, options)
    comparison = _comparison(asked, calls[0], gateway.ledger.process, source, successor_of)
    answers = _answers(comparison, asked, calls)
    if logged:
        logged.comparison = comparison
        answers.insert(0, logged)
    return Run(
        gateway,
        comparison,
        answers,
        calls,
        asked.tags,
        store=asked.store,
        cancel_on_disconnect=asked.cancel_on_disconnect,
    )


def _comparison(
    asked: ComparisonRequest, call: Call, process: str, source: Source, successor_of: str | None
) -> Comparison:
    caller = call.caller
    return Comparison(
        tenant_id=cast(int, caller.tenant_id),  # who may compare has one
        author_id=caller.user_id,
        author_name=caller.username,
        title=asked.title,
        messages=asked.messages,
        prompt=asked.prompt[:PROMPT_LENGTH],
        params=asked.params,
        source=source,
        successor_of_id=successor_of,
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
