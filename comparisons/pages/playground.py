"""A prompt, several models, all answers side by side. The asking is done by the browser, through the API."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from comparisons.diff import word_diff
from comparisons.markdown import render_markdown
from comparisons.models import Comparison
from comparisons.pages.detail import of_member
from comparisons.pages.members import MemberRequest, member_page
from comparisons.pages.offers import Offer, offers_for

MOST_SLOTS = 10
FIRST_CHOICE = 2
LONGEST_TEXT = 200_000


@member_page
def playground(request: MemberRequest) -> HttpResponse:
    """Empty, or filled in: with `prompt`, `system`, `models` (and commas), or `from` a comparison, or one `slot`."""
    offers = offers_for(request.user)
    start = _again(request) if "from" in request.GET else _fresh(request, offers)
    context = {"offers": offers, "start": start, "most_slots": MOST_SLOTS}
    return render(request, "comparisons/playground.html", context)


@require_POST
@member_page
def rendered(request: MemberRequest) -> HttpResponse:
    """A text's Markdown as safe HTML."""
    return HttpResponse(render_markdown(request.POST.get("text", "")[:LONGEST_TEXT]))


@require_POST
@member_page
def difference(request: MemberRequest) -> HttpResponse:
    """Two texts word by word: `left` and `right`, their columns' letters and models, and `only` the differences."""
    sides = [
        {"letter": request.POST.get(f"{side}_letter", ""), "requested_model": request.POST.get(f"{side}_model", "")}
        for side in ("left", "right")
    ]
    texts = [request.POST.get(side, "")[:LONGEST_TEXT] for side in ("left", "right")]
    diff = word_diff(*texts, only_differences="only" in request.POST)
    context = {"diff": diff, "left": sides[0], "right": sides[1]}
    return render(request, "comparisons/detail/diff.html", context)


def _fresh(request: MemberRequest, offers: list[Offer]) -> dict[str, Any]:
    asked = [name.strip() for name in request.GET.get("models", "").split(",") if name.strip()]
    names = asked or _usual_choice(request, [offer.name for offer in offers])
    messages = [
        {"role": role, "content": text}
        for role, text in (("system", request.GET.get("system", "")), ("user", request.GET.get("prompt", "")))
        if text
    ]
    return {"messages": messages, "slots": [{"model": name} for name in names[:MOST_SLOTS]], "params": {}, "from": ""}


def _usual_choice(request: MemberRequest, offered: list[str]) -> list[str]:
    """The models of somebody's last comparison, as far as there are; the first two for who comes for the first time."""
    own = Comparison.objects.of_tenant(request.user.tenant_id).filter(author_name=request.user.username)
    last = own.order_by("-pk").first()
    names = last.answers.order_by("slot").values_list("requested_model", flat=True) if last else []
    return [name for name in dict.fromkeys(names) if name in offered] or offered[:FIRST_CHOICE]


def _again(request: MemberRequest) -> dict[str, Any]:
    """What a stored comparison asked; of one slot the conversation alone, to be compared with others."""
    comparison = of_member(request, request.GET["from"])
    answers = comparison.answers.order_by("slot")
    slot = request.GET.get("slot", "")
    if slot.isdecimal() and len(slot) == 1:
        answers = answers.filter(slot=int(slot))
    slots = [
        {"model": answer.requested_model, "params": answer.params, "label": _own_label(answer.label, answer.letter)}
        for answer in answers
    ]
    return {
        "messages": comparison.messages,
        "slots": slots,
        "params": comparison.params,
        "from": comparison.pk,
        "fallbacks": comparison.fallbacks,
        "cache": comparison.cache,
    }


def _own_label(label: str, letter: str) -> str:
    return "" if label == letter else label
