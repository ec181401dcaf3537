"""Votes and notes, the newest first."""

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter

from accounts.admin.links import page_url
from accounts.admin.scoping import ReadOnly, TenantScopedAdmin
from comparisons.admin.comparisons import shortened, time_of
from comparisons.models import Answer, Note, Vote
from proxy.admin.filters import DayRangeFilter, TenantFilter
from proxy.admin.keyset import KeyChangeList


class ComparisonTenantFilter(TenantFilter):
    column = "comparison__tenant_id"


class Feedback(ReadOnly, TenantScopedAdmin):
    """What somebody said about a comparison."""

    tenant_lookup = "comparison__tenant"
    tenant_admin_may = frozenset({"view"})
    operator_fields = frozenset({"tenant"})
    list_select_related = ("comparison__tenant",)
    sortable_by = ()
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "admin/proxy/keyset_list.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeyChangeList]:
        return KeyChangeList

    @admin.display(description=_("time"))
    def time(self, row: Any) -> SafeString:
        return time_of(row.created_at)

    @admin.display(description=_("tenant"))
    def tenant(self, row: Any) -> str:
        return str(row.comparison.tenant)

    @admin.display(description=_("comparison"))
    def compared(self, row: Any) -> SafeString:
        return format_html(
            '<a class="text-link" href="{}">{}</a>', page_url(row.comparison), shortened(str(row.comparison))
        )


@admin.register(Vote)
class VoteAdmin(Feedback):
    list_display = ("time", "voter_name", "tenant", "compared", "choice", "blind", "reason")
    list_filter = (
        ("created_at", DayRangeFilter),
        ("verdict", ChoicesDropdownFilter),
        ("blind", BooleanRadioFilter),
        ComparisonTenantFilter,
    )
    search_fields = ("voter_name", "note")
    search_help_text = _("Search by voter or reason")
    fields = ("compared", "voter_name", "choice", "blind", "note", ("created_at", "updated_at"))
    readonly_fields = ("compared", "choice")

    def get_queryset(self, request: HttpRequest) -> Any:
        answers = Answer.objects.only("comparison_id", "slot", "requested_model")
        return super().get_queryset(request).prefetch_related(Prefetch("comparison__answers", answers))

    @admin.display(description=_("vote"))
    def choice(self, vote: Vote) -> str:
        models = {answer.slot: answer.requested_model for answer in vote.comparison.answers.all()}
        return str(vote) if vote.winner is None else f"{vote}: {models.get(vote.winner, '?')}"

    @admin.display(description=_("reason"))
    def reason(self, vote: Vote) -> str:
        return shortened(vote.note) or "-"


@admin.register(Note)
class NoteAdmin(Feedback):
    list_display = ("time", "author_name", "tenant", "compared", "beginning")
    list_filter = (("created_at", DayRangeFilter), ComparisonTenantFilter)
    search_fields = ("author_name", "text")
    search_help_text = _("Search by author or text")
    fields = ("compared", "author_name", "text", "created_at")
    readonly_fields = ("compared",)

    @admin.display(description=_("note"))
    def beginning(self, note: Note) -> str:
        return shortened(note.text)
