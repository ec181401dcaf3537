"""The comparisons of all tenants, or of one's own; each with its answers, votes and notes."""

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from accounts.admin.base import badge
from accounts.admin.scoping import ReadOnly, TenantScopedAdmin, TenantScopedInline
from comparisons.models import Answer, Comparison, Note, Vote
from comparisons.models.answer import AnswerStatus
from comparisons.models.comparison import Status
from proxy.admin.filters import DayRangeFilter, TenantFilter
from proxy.admin.keyset import KeyChangeList
from proxy.admin.money import dollars

STATUS_VARIANTS = {
    Status.RUNNING: "info",
    Status.COMPLETE: "success",
    Status.PARTIAL: "warning",
    AnswerStatus.OK: "success",
}
LONGEST_SHOWN = 80
PREVIEW = 300


def time_of(moment: Any) -> SafeString:
    return format_html('<span class="whitespace-nowrap">{}</span>', f"{localtime(moment):%Y-%m-%d %H:%M:%S}")


def shortened(text: str, length: int = LONGEST_SHOWN) -> str:
    return text if len(text) <= length else f"{text[:length].rstrip()}…"


class Rows(ReadOnly, TenantScopedInline):
    """What belongs to a comparison, on its page: to look at."""

    tenant_admin_may = frozenset({"view"})
    can_delete = False
    hide_title = True


class AnswerRows(Rows):
    model = Answer
    ordering = ("slot",)
    fields = ("letter", "requested_model", "resolved_model", "outcome", "time", "tokens", "cost", "text")
    readonly_fields = fields

    @admin.display(description=_("slot"))
    def letter(self, answer: Answer) -> str:
        return answer.letter

    @admin.display(description=_("status"))
    def outcome(self, answer: Answer) -> SafeString:
        return badge(answer.get_status_display(), STATUS_VARIANTS.get(AnswerStatus(answer.status), "danger"))

    @admin.display(description=_("time"))
    def time(self, answer: Answer) -> str:
        return "-" if answer.latency_ms is None else f"{answer.latency_ms / 1000:.2f} s"

    @admin.display(description=_("tokens"))
    def tokens(self, answer: Answer) -> str:
        return f"{answer.prompt_tokens + answer.completion_tokens:,}"

    @admin.display(description=_("cost"))
    def cost(self, answer: Answer) -> str:
        return dollars(answer.cost_microusd)

    @admin.display(description=_("answer"))
    def text(self, answer: Answer) -> str:
        return shortened(str((answer.error or {}).get("message", "")) or answer.content, PREVIEW)


class VoteRows(Rows):
    model = Vote
    fields = ("voter_name", "choice", "blind", "note", "updated_at")
    readonly_fields = fields

    @admin.display(description=_("vote"))
    def choice(self, vote: Vote) -> str:
        return str(vote)


class NoteRows(Rows):
    model = Note
    fields = ("author_name", "text", "created_at")
    readonly_fields = fields


@admin.register(Comparison)
class ComparisonAdmin(ReadOnly, TenantScopedAdmin):
    tenant_lookup = "tenant"
    tenant_admin_may = frozenset({"view"})
    operator_fields = frozenset({"tenant"})

    list_display = ("time", "name", "tenant", "author_name", "models", "state", "vote_count", "cost", "source")
    list_display_links = ("time", "name")
    list_filter = (
        ("created_at", DayRangeFilter),
        ("status", ChoicesDropdownFilter),
        ("source", ChoicesDropdownFilter),
        TenantFilter,
    )
    list_select_related = ("tenant",)
    search_fields = ("id",)
    search_help_text = _("Words of the title or the prompt, or an id")
    sortable_by = ()
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "admin/proxy/keyset_list.html"
    inlines = (AnswerRows, VoteRows, NoteRows)
    fields = (
        ("id", "page"),
        ("tenant", "author_name", "created_at"),
        "title",
        "prompt",
        "tag_names",
        ("state", "source"),
        ("wall_time", "cost"),
        "params",
        "successor_of",
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeyChangeList]:
        return KeyChangeList

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [name for row in self.fields for name in ([row] if isinstance(row, str) else row)]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """None, too, for an id that no database can hold."""
        return None if "\0" in object_id else super().get_object(request, object_id, from_field)

    def get_queryset(self, request: HttpRequest) -> Any:
        answers = Answer.objects.only("comparison_id", "slot", "requested_model").order_by("slot")
        votes = Vote.objects.only("comparison_id")
        rows = super().get_queryset(request).defer("messages")
        return rows.prefetch_related(Prefetch("answers", answers), Prefetch("votes", votes))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """As the history searches, by its index."""
        term = search_term.strip()
        if term.startswith("cmp_"):
            return queryset.filter(pk=term), False
        found: QuerySet[Any] = queryset.containing(term)  # type: ignore[attr-defined]  # ComparisonQuerySet's
        return found, False

    @admin.display(description=_("time"))
    def time(self, comparison: Comparison) -> SafeString:
        return time_of(comparison.created_at)

    @admin.display(description=_("title or prompt"))
    def name(self, comparison: Comparison) -> str:
        return shortened(str(comparison))

    @admin.display(description=_("models"))
    def models(self, comparison: Comparison) -> SafeString:
        names = ((answer.requested_model,) for answer in comparison.answers.all())
        return format_html_join("", '<div class="whitespace-nowrap">{}</div>', names)

    @admin.display(description=_("status"))
    def state(self, comparison: Comparison) -> SafeString:
        return badge(comparison.get_status_display(), STATUS_VARIANTS.get(Status(comparison.status), "danger"))

    @admin.display(description=_("votes"))
    def vote_count(self, comparison: Comparison) -> int:
        return len(comparison.votes.all())

    @admin.display(description=_("cost"))
    def cost(self, comparison: Comparison) -> str:
        return dollars(comparison.cost_microusd)

    @admin.display(description=_("wall time"))
    def wall_time(self, comparison: Comparison) -> str:
        return "-" if comparison.wall_ms is None else f"{comparison.wall_ms / 1000:.2f} s"

    @admin.display(description=_("tags"))
    def tag_names(self, comparison: Comparison) -> str:
        return ", ".join(tag.name for tag in comparison.tags.all()) or "-"

    @admin.display(description=_("side by side"))
    def page(self, comparison: Comparison) -> SafeString:
        address = reverse("comparison-page", args=[comparison.pk])
        return format_html('<a class="text-link" href="{}">{}</a>', address, _("Open its page (members only)"))
