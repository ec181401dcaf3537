"""`from_request`: a plain call that was stored is compared again. Its answer is slot 0, for free."""

from dataclasses import dataclass
from typing import Any

from accounts.callers import Caller
from accounts.errors import InvalidRequest, NotFound
from comparisons.models import Answer
from comparisons.models.answer import AnswerStatus
from comparisons.recording.entry import without_nul
from proxy.assembly import content_of
from proxy.models import StoredBody, Usage

# What of a stored request says how it was asked, not what.
NOT_PARAMS = frozenset({"model", "models", "fallbacks", "messages", "stream", "stream_options", "store"})


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """What was asked, and the answer as a slot that has no comparison yet."""

    messages: list[dict[str, Any]]
    params: dict[str, Any]
    answer: Answer

    @classmethod
    def load(cls, caller: Caller, request_id: str) -> "LoggedRequest":
        """One of the caller's tenant. Raises NotFound where it is not stored, InvalidRequest where it is no whole chat.

        SQL: for the threads of `accounts.sql.run_query`.
        """
        request_id = request_id.replace("\0", "")
        body = StoredBody.objects.for_request(request_id, caller.tenant_id)
        usage = Usage.objects.filter(request_id=request_id, tenant_id=caller.tenant_id).first()
        if body is None or usage is None:
            raise NotFound(
                f"The request “{request_id[:100]}” is not stored for you. Calls are stored where the tenant says so "
                "(store_bodies_days), a second or so after their answer.",
                param="from_request",
            )
        asked, answered = body.request, body.answer
        if not asked or not answered or not asked.get("messages") or not _is_whole(answered):
            raise InvalidRequest(
                "That request is no chat with a whole answer, so there is nothing to compare. Choose another.",
                param="from_request",
            )
        params = {name: value for name, value in asked.items() if name not in NOT_PARAMS}
        return cls(asked["messages"], params, _answer(usage, answered))

    def into(self, data: dict[str, Any]) -> dict[str, Any]:
        """The comparison's body with what was asked then; parameters that `data` names replace those."""
        for param in ("messages", "prompt"):
            if data.get(param) is not None:
                raise InvalidRequest(f"With from_request leave {param} out: it asks what was asked then.", param=param)
        params = data.get("params")
        if params is not None and not isinstance(params, dict):
            return data  # refused where all parameters are checked
        return {**data, "messages": self.messages, "params": {**self.params, **(params or {})}}


def _is_whole(answer: dict[str, Any]) -> bool:
    choices = answer.get("choices") or []
    return bool(choices) and all(choice.get("finish_reason") for choice in choices)


def _answer(usage: Usage, completion: dict[str, Any]) -> Answer:
    """Times and tokens are those of then; it costs nothing now."""
    completion = without_nul(completion)
    return Answer(
        slot=0,
        label="A",
        requested_model=usage.requested_model,
        request_id=usage.request_id,
        resolved_model=usage.served_model,
        provider=usage.provider,
        status=AnswerStatus.OK,
        response=completion,
        content=content_of(completion),
        usage=completion.get("usage"),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        ttft_ms=usage.first_token_ms,
        latency_ms=usage.latency_ms,
    )
