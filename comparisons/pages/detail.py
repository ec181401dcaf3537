"""One comparison, for reading and judging."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render

from accounts.models import User
from comparisons.diff import word_diff
from comparisons.models import Answer, Comparison
from comparisons.models.answer import AnswerStatus
from comparisons.pages.filters import Filters
from comparisons.pages.members import MemberRequest, member_page
from comparisons.stored import caught_up

VIEWS = {"rendered": "Rendered", "text": "Text", "json": "JSON"}


@dataclass(frozen=True, slots=True)
class Column:
    """An answer, and how it did beside the others."""

    answer: Answer
    is_fastest: bool
    is_cheapest: bool


@member_page
def detail(request: MemberRequest, comparison_id: str) -> HttpResponse:
    """The whole page, or only its answers where the page asks for these."""
    comparison = of_member(request, comparison_id)
    context = {**answers_context(comparison, request.GET), "filters": Filters.read(request.GET)}
    if request.htmx and request.htmx.target == "answers":
        return render(request, "comparisons/detail/answers.html", {**context, "is_part": True})
    return render(request, "comparisons/detail.html", {**context, **_surroundings(request, comparison)})


def of_member(request: MemberRequest, comparison_id: str) -> Comparison:
    """The comparison, if it is the tenant's; raises Http404 otherwise."""
    own = Comparison.objects.of_tenant(request.user.tenant_id)
    return caught_up(get_object_or_404(own.with_id(comparison_id).select_related("successor_of")))


def answers_context(comparison: Comparison, query: QueryDict) -> dict[str, Any]:
    """What the part with the answers shows, by `view`, `diff` (two slots) and `only`."""
    answers = list(comparison.answers.order_by("slot"))
    view = query.get("view", "")
    view = view if view in VIEWS else "rendered"
    pair = _pair(answers, query) if "diff" in query else None
    context: dict[str, Any] = {
        "comparison": comparison,
        "columns": _columns(comparison, answers),
        "answers": answers,
        "view": view,
        "next_view": _after(view),
        "views": VIEWS,
        "pair": pair,
        "only": "only" in query,
    }
    if pair:
        left, right = pair
        context["diff"] = word_diff(left.content, right.content, only_differences=context["only"])
    return context


def review_context(comparison: Comparison, user: User) -> dict[str, Any]:
    """What the vote bar and the lists of votes and notes show."""
    votes = list(comparison.votes.all())
    answered = comparison.answers.filter(status=AnswerStatus.OK).order_by("slot")
    return {
        "comparison": comparison,
        "votes": votes,
        "own_vote": next((vote for vote in votes if vote.voter_id == user.pk), None),
        "answered": list(answered.values_list("slot", flat=True)),
        "notes": comparison.notes.all(),
        "tags": comparison.tags.all(),
    }


def _surroundings(request: MemberRequest, comparison: Comparison) -> dict[str, Any]:
    own = Comparison.objects.of_tenant(request.user.tenant_id)
    found = Filters.read(request.GET).apply(own)
    return {
        **review_context(comparison, request.user),
        "older": found.filter(pk__lt=comparison.pk).first(),
        "newer": found.filter(pk__gt=comparison.pk).order_by("pk").first(),
        "successors": comparison.successors.order_by("pk"),
    }


def _columns(comparison: Comparison, answers: list[Answer]) -> list[Column]:
    """With who was fastest and cheapest, where that tells one from another."""
    summary = comparison.summary(answers)
    best = {
        name: set(summary[name]) if len(summary[name]) < summary["ok"] else set() for name in ("fastest", "cheapest")
    }
    return [
        Column(answer, is_fastest=answer.slot in best["fastest"], is_cheapest=answer.slot in best["cheapest"])
        for answer in answers
    ]


def _after(view: str) -> str:
    names = list(VIEWS)
    return names[(names.index(view) + 1) % len(names)]


def _pair(answers: list[Answer], query: QueryDict) -> tuple[Answer, Answer] | None:
    """The two answers to compare word by word: `diff` (0,2) or `left` and `right`; else the first two."""
    if len(answers) < 2:
        return None
    by_slot = {str(answer.slot): answer for answer in answers}
    left, _, right = query.get("diff", "").partition(",")
    left, right = query.get("left", left), query.get("right", right)
    if left not in by_slot or right not in by_slot or left == right:
        return answers[0], answers[1]
    return by_slot[left], by_slot[right]
