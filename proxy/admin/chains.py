"""Chains: operators build and try them, a tenant administrator sees those that are offered to the tenant."""

from typing import Any

from django.contrib import admin
from django.db.models import Field, QuerySet
from django.forms import Field as FormField
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import BooleanRadioFilter

from accounts.admin.base import ModelForm, badge, page_action
from accounts.admin.scoping import TenantScopedAdmin, TenantScopedInline
from accounts.admin.snippets import snippets
from accounts.admin.switches import Switches
from accounts.admin_site import is_operator
from proxy.admin.names import offered
from proxy.admin.trials import TrialForm, trial_page
from proxy.models import ChainLink, ModelChain

# Where a new link stands until somebody drags it: behind all others.
LAST_POSITION = 9999


class ChainLinkForm(ModelForm):
    class Meta:
        model = ChainLink
        fields: tuple[str, ...] = ()  # the admin adds those that it shows
        # Short enough for the head of a column; the help texts say the rest.
        labels = {
            "connect_timeout_s": _("Connect (s)"),
            "first_token_timeout_s": _("First token (s)"),
            "stall_timeout_s": _("Stall (s)"),
            "retry_after_max_s": _("Retry-After (s)"),
        }


class ChainLinkInline(TenantScopedInline):
    model = ChainLink
    form = ChainLinkForm
    hide_title = True
    tenant_admin_may = frozenset({"view"})
    ordering_field = "position"
    hide_ordering_field = True
    autocomplete_fields = ("model",)
    fields = (
        "model",
        "connect_timeout_s",
        "first_token_timeout_s",
        "stall_timeout_s",
        "retry_after_max_s",
        "position",
    )
    readonly_fields = ("model_name",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Tenant administrators read a model's name; the page behind it is not theirs."""
        fields = list(super().get_fields(request, obj))
        return fields if is_operator(request.user) else ["model_name", *fields[1:-1]]

    def formfield_for_dbfield(
        self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> FormField | None:
        if db_field.name == "position":
            kwargs["initial"] = LAST_POSITION
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @admin.display(description=_("model"))
    def model_name(self, link: ChainLink) -> str:
        return str(link.model)


@admin.register(ModelChain)
class ModelChainAdmin(Switches, TenantScopedAdmin):
    tenant_admin_may = frozenset({"view"})
    operator_fields = frozenset({"tenants", "for_whom"})

    list_display = ("name", "state", "order", "for_whom", "stream_guard", "deadline_s")
    list_filter = (("is_active", BooleanRadioFilter), ("public", BooleanRadioFilter))
    search_fields = ("name",)
    search_help_text = _("Search by name")
    autocomplete_fields = ("tenants",)
    fieldsets = (
        (None, {"fields": ("name", ("is_active", "public"), "tenants")}),
        (
            _("How it answers"),
            {"fields": (("stream_guard", "deadline_s"), "fall_back_on_client_errors", "fall_back_on_content_policy")},
        ),
        (
            _("Tokens and cache"),
            {"fields": (("default_max_tokens", "cache_ttl_s"), ("clamp_max_tokens", "cache_streams"))},
        ),
    )
    inlines = (ChainLinkInline,)
    actions = ("switch_off", "switch_on")
    actions_detail = ("try_it",)
    actions_row = ("try_it",)
    change_form_outer_after_template = "admin/snippets.html"

    def scope(self, queryset: QuerySet[Any], tenant_id: int) -> QuerySet[Any]:
        return queryset.filter(offered(tenant_id))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("tenants", "links__model__provider")

    def get_inline_instances(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        inlines = super().get_inline_instances(request, obj)
        for inline in inlines:
            if not is_operator(request.user):
                inline.ordering_field = None  # type: ignore[attr-defined]  # Unfold's: no handle to drag what cannot be moved
        return inlines

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        context: dict[str, Any] = {"heading": _("Call this chain")}
        if chain := self.get_object(request, object_id):
            context["snippets"] = snippets(request, chain.name)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        for position, link in enumerate(form.instance.links.order_by("position", "pk")):
            if link.position != position:
                link.position = position
                link.save(update_fields=["position"])

    @page_action(_("Try it"), icon="play_arrow", path="try")
    def try_it(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        chain = self.get_object_or_404(request, object_id)
        form = TrialForm(request.POST or None, names=[chain.name])
        return trial_page(self, request, chain, form, _("Try %s") % chain)

    @admin.display(description=_("state"), ordering="is_active")
    def state(self, chain: ModelChain) -> SafeString:
        if not chain.is_active:
            return badge(_("switched off"), "danger")
        return badge(_("active"), "success") if chain.links.all() else badge(_("no links"), "warning")

    @admin.display(description=_("order"))
    def order(self, chain: ModelChain) -> SafeString | str:
        names = ((str(link.model),) for link in chain.links.all())
        return format_html_join(" → ", '<span class="whitespace-nowrap">{}</span>', names) or "-"

    @admin.display(description=_("for whom"))
    def for_whom(self, chain: ModelChain) -> str:
        names = [str(tenant) for tenant in chain.tenants.all()] or [str(_("every tenant"))]
        return ", ".join([*names, str(_("anonymous callers"))] if chain.public else names)
