"""What people say about a comparison: votes, notes, tags, its title. Without JavaScript each leads back to its page."""

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.errors import GatewayError
from comparisons.models import Comparison, ComparisonTag, Note, Vote
from comparisons.models.vote import Verdict
from comparisons.pages.detail import of_member, review_context
from comparisons.pages.members import MemberRequest, member_page

WITHDRAW = "withdraw"


@require_GET
@member_page
def review(request: MemberRequest, comparison_id: str) -> HttpResponse:
    """The part with votes and notes, for a page whose comparison is still running."""
    comparison = of_member(request, comparison_id)
    return render(request, "comparisons/detail/review.html", review_context(comparison, request.user))


@require_POST
@member_page
def vote(request: MemberRequest, comparison_id: str) -> HttpResponse:
    """`winner`: a slot's number, tie, all_bad, or withdraw."""
    comparison = of_member(request, comparison_id)
    winner = request.POST.get("winner", "")
    try:
        said = _vote(comparison, request, winner)
    except GatewayError as refusal:
        return _review(request, comparison, refusal=refusal)
    return _review(request, comparison, said=said)


def _vote(comparison: Comparison, request: MemberRequest, winner: str) -> str:
    if winner == WITHDRAW:
        comparison.votes.filter(voter=request.user).delete()
        return "Your vote is withdrawn."
    slot = int(winner) if winner.isdecimal() and len(winner) == 1 else None
    verdict = Verdict.SLOT if slot is not None else winner
    cast = Vote.objects.cast(comparison, request.user, verdict, slot, note=request.POST.get("note", ""))
    return f"You voted: {cast}."


@require_POST
@member_page
def notes(request: MemberRequest, comparison_id: str) -> HttpResponse:
    comparison = of_member(request, comparison_id)
    text = request.POST.get("text", "")
    try:
        Note.objects.write(comparison, request.user, text)
    except GatewayError as refusal:
        return _review(request, comparison, refusal=refusal, draft=text)
    return _review(request, comparison, said="Your note is added.")


@require_POST
@member_page
def tags(request: MemberRequest, comparison_id: str) -> HttpResponse:
    """`add`: a tag, or several with commas between them; `all`: these and no others; `remove`: one."""
    comparison = of_member(request, comparison_id)
    said, refused = "", None
    try:
        if "remove" in request.POST:
            comparison.tags.filter(name=request.POST["remove"].replace("\0", "")).delete()
            said = "The tag is removed."
        else:
            ComparisonTag.objects.file(comparison, _names(request), instead="all" in request.POST)
            said = "The tags are saved."
    except GatewayError as refusal:
        refused = refusal
    context = {"comparison": comparison, "tags": comparison.tags.all(), "said": said}
    return _part(request, comparison, "tags", context, refused)


def _names(request: MemberRequest) -> list[str]:
    return request.POST.get("all", request.POST.get("add", "")).split(",")


@require_POST
@member_page
def title(request: MemberRequest, comparison_id: str) -> HttpResponse:
    comparison = of_member(request, comparison_id)
    comparison.rename(request.POST.get("title", ""))
    return _part(request, comparison, "title", {"comparison": comparison})


def _review(
    request: MemberRequest,
    comparison: Comparison,
    *,
    refusal: GatewayError | None = None,
    said: str = "",
    draft: str = "",
) -> HttpResponse:
    context = {**review_context(comparison, request.user), "said": said, "draft": draft}
    return _part(request, comparison, "review", context, refusal)


def _part(
    request: MemberRequest,
    comparison: Comparison,
    part: str,
    context: dict[str, object],
    refusal: GatewayError | None = None,
) -> HttpResponse:
    """The changed part where the page asks for it, else the whole page anew, or the reason why nothing changed."""
    if request.htmx:
        return render(request, f"comparisons/detail/{part}.html", {**context, "refusal": refusal and refusal.message})
    if refusal:
        context = {"refusal": refusal.message, "comparison": comparison}
        return render(request, "comparisons/refused.html", context, status=refusal.http_status)
    return redirect("comparison-page", comparison.pk)
