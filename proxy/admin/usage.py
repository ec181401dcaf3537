"""The usage ledger: read-only, quick at any length; the explanation of a single request; events that were refused."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _, ngettext
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from accounts.admin.base import badge, page_context
from accounts.admin.scoping import ReadOnly, TenantScopedAdmin
from accounts.admin_site import is_operator
from accounts.models import User
from proxy.admin.explain import Explanation
from proxy.admin.export import csv_response
from proxy.admin.filters import ChainFilter, DayRangeFilter, ProviderFilter, TenantFilter
from proxy.admin.keyset import KeysetChangeList
from proxy.admin.money import dollars
from proxy.models import DeadLetter, Model, ModelChain, Usage
from proxy.models.usage import Status
from proxy.usage.drain import retry

STATUS_VARIANTS = {
    Status.OK: "success",
    Status.CACHED: "info",
    Status.CLIENT_CLOSED: "warning",
    Status.CUT: "warning",
}
# How many names a search may stand for.
MOST_NAMES = 50
FEW = 2000


@admin.register(Usage)
class UsageAdmin(ReadOnly, TenantScopedAdmin):
    tenant_lookup = "tenant_id"
    tenant_admin_may = frozenset({"view"})
    operator_fields = frozenset({"tenant", "tenant_id", "tenant_name", "provider"})

    list_display = (
        "time",
        "short_id",
        "tenant_name",
        "username",
        "asked",
        "served_model",
        "outcome",
        "tokens",
        "cost",
        "latency",
    )
    list_display_links = ("time", "short_id")
    list_filter = (
        ("created_at", DayRangeFilter),
        ("status", ChoicesDropdownFilter),
        TenantFilter,
        ChainFilter,
        ProviderFilter,
    )
    search_fields = ("request_id",)
    search_help_text = _("Request id, user or model")
    sortable_by = ()
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    change_list_template = "admin/proxy/usage/change_list.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("explain/", view(self.explain), name="proxy_usage_explain"),
            path("export/", view(self.export), name="proxy_usage_export"),
            *super().get_urls(),
        ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Parts of names are looked up in the small tables; the ledger itself is only asked for whole names."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.startswith("req_"):
            return queryset.filter(request_id=term), False
        users = [term, *_names(User.objects.filter(username__icontains=term), "username")]
        models = [
            term,
            *_names(Model.objects.filter(name__icontains=term)),
            *_names(ModelChain.objects.filter(name__icontains=term)),
        ]
        wanted = Q(username__in=users) | Q(served_model__in=models) | Q(chain__in=models)
        return _found(queryset, wanted), False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return self._explained(request, self.get_object_or_404(request, object_id))

    def explain(self, request: HttpRequest) -> HttpResponse:
        """Any request by its x-request-id."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        request_id = request.GET.get("request_id", "").strip().replace("\0", "")
        usage = self.get_queryset(request).filter(request_id=request_id).first() if request_id else None
        letter = None
        if request_id and not usage and is_operator(request.user):
            letter = DeadLetter.objects.filter(payload__contains=f'"{request_id}"').first()
        return self._explained(request, usage, asked_for=request_id, letter=letter)

    def export(self, request: HttpRequest) -> StreamingHttpResponse:
        """What the list shows, with its filters and search, on all of its pages."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return csv_response(self.get_changelist_instance(request).queryset)
        except IncorrectLookupParameters as error:
            raise Http404 from error

    def _explained(self, request: HttpRequest, usage: Usage | None, **context: Any) -> HttpResponse:
        context |= page_context(self, request, _("Explain request"))
        if usage:
            context["asked_for"] = usage.request_id
            context["explanation"] = Explanation(usage, request, self.admin_site)
            context["outcome"] = self.outcome(usage)
        return TemplateResponse(request, "admin/proxy/usage/explain.html", context)

    @admin.display(description=_("time"))
    def time(self, usage: Usage) -> SafeString:
        return format_html(
            '<span class="whitespace-nowrap">{}</span>', f"{localtime(usage.created_at):%Y-%m-%d %H:%M:%S}"
        )

    @admin.display(description=_("request id"))
    def short_id(self, usage: Usage) -> SafeString:
        return format_html('<code title="{}">{}…</code>', usage.request_id, usage.request_id[:12])

    @admin.display(description=_("asked for"))
    def asked(self, usage: Usage) -> str:
        return usage.chain or usage.requested_model

    @admin.display(description=_("status"))
    def outcome(self, usage: Usage) -> SafeString:
        return badge(usage.get_status_display(), STATUS_VARIANTS.get(Status(usage.status), "danger"))

    @admin.display(description=_("tokens"))
    def tokens(self, usage: Usage) -> str:
        return f"{usage.total_tokens:,}"

    @admin.display(description=_("cost"))
    def cost(self, usage: Usage) -> str:
        return dollars(usage.cost_microusd)

    @admin.display(description=_("latency"))
    def latency(self, usage: Usage) -> str:
        return f"{usage.latency_ms / 1000:.2f} s"


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnly, TenantScopedAdmin):
    list_display = ("stream_id", "created_at", "error")
    fields = ("stream_id", "created_at", "error", "payload")
    search_fields = ("payload", "error")
    search_help_text = _("Search in the event or the error")
    actions = ("try_again",)

    @admin.action(description=_("Try again"), permissions=["view"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        chosen = queryset.count()
        recorded = retry(queryset)
        text = ngettext("%d event is recorded now.", "%d events are recorded now.", recorded) % recorded
        self.message_user(request, text, messages.SUCCESS if recorded else messages.WARNING)
        if left := chosen - recorded:
            text = (
                ngettext("%d is still refused: see its error.", "%d are still refused: see their errors.", left) % left
            )
            self.message_user(request, text, messages.WARNING)


def _found(queryset: QuerySet[Any], wanted: Q) -> QuerySet[Any]:
    """The rows that match. A few of them are named by their keys: told to sort by time, the planner expects to meet
    them soon and walks through the whole ledger, where the columns' own indexes find them at once."""
    pks = list(queryset.order_by().filter(wanted).values_list("pk", flat=True)[: FEW + 1])
    return queryset.filter(pk__in=pks) if len(pks) <= FEW else queryset.filter(wanted)


def _names(rows: QuerySet[Any], field: str = "name") -> list[str]:
    return list(rows.values_list(field, flat=True)[:MOST_NAMES])


def is_explaining(request: HttpRequest) -> bool:
    """For the side bar: both pages stand below the ledger's address."""
    return request.path.startswith(reverse("admin:proxy_usage_explain"))


def is_in_ledger(request: HttpRequest) -> bool:
    return request.path.startswith(reverse("admin:proxy_usage_changelist")) and not is_explaining(request)


def waiting_letters(request: HttpRequest) -> int | str:
    """For the side bar: how many events wait for somebody."""
    return DeadLetter.objects.count() or ""
