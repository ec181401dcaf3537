"""Stored comparisons as the API shows them. SQL: for the threads of `accounts.sql.run_query`."""

import logging
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import Prefetch
from redis.exceptions import RedisError

from accounts.callers import Caller
from accounts.errors import InvalidRequest
from accounts.models import User
from comparisons.errors import ComparisonNotFound
from comparisons.filters import Filters
from comparisons.models import Answer, Comparison, Note, Vote
from comparisons.models.vote import Verdict
from comparisons.recording.drain import drain

logger = logging.getLogger(__name__)


def find(caller: Caller, comparison_id: str) -> Comparison:
    """The caller's tenant's comparison with this id, as far as it has come. Raises ComparisonNotFound."""
    comparison = Comparison.objects.of_tenant(caller.tenant_id).with_id(comparison_id).first()
    if comparison is None:
        raise ComparisonNotFound(comparison_id)
    return caught_up(comparison)


def caught_up(comparison: Comparison) -> Comparison:
    """As far as it has come: who was just given an answer may vote on it, whether or not a worker has come by."""
    if comparison.is_running:
        _drain()
        comparison.refresh_from_db()
    return comparison


def _drain() -> None:
    try:
        drain()
    except RedisError as error:
        logger.warning("Could not look for results that wait: %s", type(error).__name__)


def once_ended(caller: Caller, comparison_id: str) -> tuple[Comparison, list[Answer], list[str]] | None:
    """It with its answers and the names of its tags; None while it is running. Raises ComparisonNotFound."""
    try:
        row = find(caller, comparison_id)
    except ComparisonNotFound:
        _drain()  # perhaps the database was away when it began, and all of it waits there
        row = find(caller, comparison_id)
    return None if row.is_running else (row, list(row.answers.all()), [tag.name for tag in row.tags.all()])


def page(caller: Caller, filters: Filters, pages: str) -> dict[str, Any]:
    """A list in OpenAI's shape, the newest first; answers without their texts."""
    found = filters.of(Comparison.objects.of_tenant(caller.tenant_id)).defer("messages", "params")
    answers = Prefetch("answers", Answer.objects.defer("response", "content"))
    rows = list(found.prefetch_related(answers, "tags", "votes")[: filters.limit + 1])
    shown = rows[: filters.limit]
    return {
        "object": "list",
        "data": [_entry(row, pages) for row in shown],
        "has_more": len(rows) > filters.limit,
        "first_id": shown[0].pk if shown else None,
        "last_id": shown[-1].pk if shown else None,
    }


def _entry(row: Comparison, pages: str) -> dict[str, Any]:
    tags, votes = [tag.name for tag in row.tags.all()], [public_vote(vote) for vote in row.votes.all()]
    return {**row.public(list(row.answers.all()), tags, pages + row.pk, whole=False), "votes": votes}


def whole(caller: Caller, comparison_id: str, pages: str) -> dict[str, Any]:
    """Everything that is known of one comparison. Raises ComparisonNotFound."""
    return describe(find(caller, comparison_id), pages)


def describe(row: Comparison, pages: str) -> dict[str, Any]:
    """The comparison with all that was asked, answered and said about it."""
    return {
        **row.public(list(row.answers.all()), [tag.name for tag in row.tags.all()], pages + row.pk),
        "messages": row.messages,
        "params": row.params,
        "timeout_s": row.timeout_s,
        "cache": row.cache,
        "fallbacks": row.fallbacks,
        "successors": [successor.pk for successor in row.successors.all()],
        "votes": [public_vote(vote) for vote in row.votes.all()],
        "notes": [public_note(note) for note in row.notes.all()],
    }


def batch(caller: Caller, filters: Filters, after: str, size: int, pages: str) -> list[dict[str, Any]]:
    """The next comparisons of an export, whole."""
    found = filters.of(Comparison.objects.of_tenant(caller.tenant_id)).before(after)
    rows = found.prefetch_related("answers", "tags", "votes", "notes", "successors")[:size]
    return [describe(row, pages) for row in rows]


def vote(caller: Caller, comparison_id: str, data: dict[str, Any]) -> dict[str, Any]:
    """Cast or replace the caller's vote. Raises ComparisonNotFound, InvalidRequest."""
    comparison = find(caller, comparison_id)
    verdict, winner = _verdict(data.get("winner"))
    note = _text(data.get("note"), "note")
    with transaction.atomic():
        cast = Vote.objects.cast(comparison, _user(caller), verdict, winner, note=note)
    return public_vote(cast)


def _verdict(winner: Any) -> tuple[str, int | None]:
    if isinstance(winner, int) and not isinstance(winner, bool):
        return Verdict.SLOT, winner
    if winner in (Verdict.TIE, Verdict.ALL_BAD):
        return winner, None
    raise InvalidRequest('winner must be a slot, such as 0, or "tie" or "all_bad".', param="winner")


def note(caller: Caller, comparison_id: str, data: dict[str, Any]) -> dict[str, Any]:
    """Write a note. Raises ComparisonNotFound, InvalidRequest."""
    comparison = find(caller, comparison_id)
    return public_note(Note.objects.write(comparison, _user(caller), _text(data.get("text"), "text")))


def _text(value: Any, param: str) -> str:
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"{param} must be a text.", param=param)
    return value or ""


def _user(caller: Caller) -> User:
    user: User = User.objects.get(pk=caller.user_id)
    return user


def public_vote(row: Vote) -> dict[str, Any]:
    return {
        "object": "vote",
        "comparison": row.comparison_id,
        "voter": row.voter_name,
        "winner": row.winner if row.verdict == Verdict.SLOT else row.verdict,
        "blind": row.blind,
        "note": row.note,
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }


def public_note(row: Note) -> dict[str, Any]:
    return {
        "object": "note",
        "id": row.pk,
        "comparison": row.comparison_id,
        "author": row.author_name,
        "text": row.text,
        "created_at": row.created_at.isoformat(),
    }


def again(caller: Caller, comparison_id: str, data: dict[str, Any]) -> dict[str, Any]:
    """The request that asks the same of other models; what `data` names replaces what was asked. Raises
    ComparisonNotFound.
    """
    row = find(caller, comparison_id)
    return {
        "messages": row.messages,
        "params": row.params,
        "title": row.title,
        "tags": [tag.name for tag in row.tags.all()],
        "cache": row.cache,
        "fallbacks": row.fallbacks,
        **({} if row.timeout_s is None else {"timeout_s": row.timeout_s}),
        "models": _same_models(row),
        **data,
    }


def _same_models(row: Comparison) -> Sequence[dict[str, Any]]:
    return [
        {"model": answer.requested_model, "label": answer.label, "params": answer.params}
        for answer in row.answers.all()
    ]
