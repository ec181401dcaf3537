"""Comparisons that somebody made, without asking any model."""

from typing import Any

from accounts.models import User
from comparisons.models import Answer, Comparison, ComparisonTag
from comparisons.models.answer import AnswerStatus
from comparisons.models.comparison import Status


def make_comparison(
    author: User, *models: str, failed: tuple[int, ...] = (), tags: tuple[str, ...] = (), **fields: Any
) -> Comparison:
    """A finished comparison of these models; the slots in `failed` gave no answer."""
    status = Status.FAILED if len(failed) == len(models) else Status.PARTIAL if failed else Status.COMPLETE
    assert author.tenant is not None
    values = {"prompt": "Why is the sky blue?", "status": status, **fields}
    values.setdefault("messages", [{"role": "user", "content": values["prompt"]}])
    comparison = Comparison.objects.create(tenant=author.tenant, author=author, author_name=author.username, **values)
    Answer.objects.bulk_create(
        make_answer(comparison, slot, model, failed=slot in failed) for slot, model in enumerate(models)
    )
    ComparisonTag.objects.bulk_create(
        ComparisonTag(comparison=comparison, tenant=author.tenant, name=name) for name in tags
    )
    return comparison


def make_answer(comparison: Comparison, slot: int, model: str, *, failed: bool = False, **fields: Any) -> Answer:
    answered: dict[str, Any] = {
        "resolved_model": model,
        "provider": model.partition("/")[0],
        "status": AnswerStatus.OK,
        "content": f"Because of answer number {slot}.",
        "prompt_tokens": 12,
        "completion_tokens": 34,
        "ttft_ms": 150,
        "latency_ms": 1200 + 100 * slot,
        "output_tokens_per_s": 61.0,
        "cost_microusd": 1000 * (slot + 1),
    }
    error = {"type": "upstream_error", "code": "server_error", "status": 502, "message": "The model failed."}
    values = {"status": AnswerStatus.ERROR, "error": error} if failed else answered
    label = chr(ord("A") + slot)
    return Answer(comparison=comparison, slot=slot, label=label, requested_model=model, **{**values, **fields})
