"""Blind review: judge the answers first, then learn whose they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_safe

from accounts.errors import GatewayError
from comparisons.models import Answer, BlindReview, Comparison, ComparisonTag, Vote
from comparisons.models.answer import AnswerStatus
from comparisons.models.vote import Verdict
from comparisons.pages.members import MemberRequest, member_page
from comparisons.reviews import MOST_COUNTED, ReviewQueue
from comparisons.stored import caught_up

LONGEST_TAG = 64


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer at the place where the reviewer sees it. What else is known of it is shown only after the vote."""

    place: int
    answer: Answer
    is_winner: bool = False

    @property
    def content(self) -> str:
        return self.answer.content

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The functions that it calls, with their arguments; not their ids, which tell one provider from another."""
        try:
            calls = self.answer.response["choices"][0]["message"]["tool_calls"]  # type: ignore[index]  # or TypeError
            return [{key: call["function"].get(key) for key in ("name", "arguments")} for call in calls]
        except (KeyError, IndexError, TypeError, AttributeError):
            return []


@require_safe
@member_page
def queue(request: MemberRequest) -> HttpResponse:
    """To the comparison whose turn it is; a page that says so when there is none."""
    waiting = _queue(request)
    if (first := waiting.first()) is not None:
        return redirect(_address(first, waiting))
    context = {"tag": waiting.tag, "tags": ComparisonTag.objects.names(request.user.tenant_id), "left": 0}
    return render(request, "comparisons/review.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@member_page
def review(request: MemberRequest, comparison_id: str) -> HttpResponse:
    """One comparison: without names before this reviewer's vote, with them after it."""
    waiting = _queue(request)
    own = Comparison.objects.of_tenant(request.user.tenant_id)
    comparison = caught_up(get_object_or_404(own.with_id(comparison_id)))
    vote = comparison.votes.filter(voter=request.user).first()
    if vote is None and not waiting.waiting.filter(pk=comparison.pk).exists():
        return redirect(_address(None, waiting))
    if vote is None and request.method == "POST":
        return _vote(request, comparison, waiting)
    if request.method == "POST":  # a second vote, that would not be blind
        return redirect(_address(comparison.pk, waiting))
    return _page(request, comparison, waiting, vote)


def _vote(request: MemberRequest, comparison: Comparison, waiting: ReviewQueue) -> HttpResponse:
    """`winner`: a place from the left, from 0 on, or tie or all_bad."""
    order = BlindReview.objects.shown_to(request.user, comparison).order
    winner, note = request.POST.get("winner", ""), request.POST.get("note", "")
    slot = order[int(winner)] if winner.isdecimal() and len(winner) == 1 and int(winner) < len(order) else None
    verdict = Verdict.SLOT if slot is not None else winner
    try:
        Vote.objects.cast(comparison, request.user, verdict, slot, note=note, blind=True, order=order)
    except GatewayError as refusal:
        return _page(request, comparison, waiting, None, refusal=refusal, note=note)
    return redirect(_address(comparison.pk, waiting))


def _page(
    request: MemberRequest,
    comparison: Comparison,
    waiting: ReviewQueue,
    vote: Vote | None,
    refusal: GatewayError | None = None,
    note: str = "",
) -> HttpResponse:
    order = vote.order if vote else BlindReview.objects.shown_to(request.user, comparison).order
    turn = waiting.turn(comparison)
    context = {
        "comparison": comparison,
        "choices": _choices(comparison, order, vote),
        "vote": vote,
        "refusal": refusal.message if refusal else "",
        "note": note,
        "tag": waiting.tag,
        "tags": ComparisonTag.objects.names(request.user.tenant_id),
        "left": turn.left,
        "most_counted": MOST_COUNTED,
        "here": _address(comparison.pk, waiting),
        "following": _address(turn.following, waiting) if turn.following or vote else "",
        "previous": _address(turn.previous, waiting) if turn.previous else "",
    }
    return render(request, "comparisons/review.html", context, status=refusal.http_status if refusal else 200)


def _choices(comparison: Comparison, order: Sequence[int], vote: Vote | None) -> list[Choice]:
    """The answers that came, as this reviewer sees them; a slot that the order does not know is at the end."""
    answers = {answer.slot: answer for answer in comparison.answers.filter(status=AnswerStatus.OK)}
    slots = [slot for slot in order if slot in answers]
    slots += sorted(answers.keys() - set(slots))
    winner = vote.winner if vote else None
    return [Choice(place, answers[slot], winner == slot) for place, slot in enumerate(slots)]


def _queue(request: MemberRequest) -> ReviewQueue:
    return ReviewQueue(request.user, request.GET.get("tag", "").replace("\0", "").strip()[:LONGEST_TAG])


def _address(comparison_id: str | None, waiting: ReviewQueue) -> str:
    """A comparison in this queue, or the queue itself."""
    address = reverse("review", args=[comparison_id]) if comparison_id else reverse("review")
    return f"{address}?{urlencode({'tag': waiting.tag})}" if waiting.tag else address
