"""What the tenant has compared."""

from typing import Any

from django.db.models import Prefetch
from django.http import HttpResponse
from django.shortcuts import render

from accounts.models import User
from comparisons.models import Answer, Comparison, ComparisonTag, Vote
from comparisons.models.comparison import ComparisonQuerySet, Status
from comparisons.models.vote import Verdict
from comparisons.pages.filters import Filters
from comparisons.pages.members import MemberRequest, member_page
from comparisons.pages.offers import offers_for

PAGE = 50
MOST_SUGGESTIONS = 200


@member_page
def history(request: MemberRequest) -> HttpResponse:
    """A page of comparisons, the newest first; only its rows where the page asks for these."""
    filters = Filters.read(request.GET)
    own = Comparison.objects.of_tenant(request.user.tenant_id)
    rows = _rows(filters.apply(own).before(request.GET.get("after", "").replace("\0", "")))
    context = {
        "filters": filters,
        "comparisons": rows[:PAGE],
        "after": rows[PAGE - 1].pk if len(rows) > PAGE else "",
        "is_first": not request.GET.get("after"),
    }
    if request.htmx and request.htmx.target == "more":
        return render(request, "comparisons/history/rows.html", context)
    context["has_any"] = bool(rows) or own.exists()
    if request.htmx and request.htmx.target == "results":
        return render(request, "comparisons/history/results.html", context)
    return render(request, "comparisons/history.html", {**context, **_suggestions(request.user)})


def _rows(found: ComparisonQuerySet) -> list[Comparison]:
    """One more than a page, with what a row shows; the texts of answers stay where they are."""
    answers = Answer.objects.only("comparison_id", "slot", "requested_model", "status").order_by("slot")
    votes = Vote.objects.only("comparison_id", "verdict", "winner")
    related = (Prefetch("answers", answers), Prefetch("votes", votes), "tags")
    return list(found.defer("messages", "params").prefetch_related(*related)[: PAGE + 1])


def _suggestions(user: User) -> dict[str, Any]:
    """What the fields of the form propose; anything else may be typed all the same."""
    authors = User.objects.filter(tenant=user.tenant).order_by("username").values_list("username", flat=True)
    return {
        "models": [offer.name for offer in offers_for(user)],
        "tags": ComparisonTag.objects.names(user.tenant_id),
        "authors": authors[:MOST_SUGGESTIONS],
        "statuses": Status.choices,
        "verdicts": [choice for choice in Verdict.choices if choice[0] != Verdict.SLOT],
    }
