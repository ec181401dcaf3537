"""Models, with what litellm's table knows of them where nothing is filled in."""

from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import BooleanRadioFilter, RelatedDropdownFilter

from accounts.admin.base import Text, badge
from accounts.admin.scoping import TenantScopedAdmin
from accounts.admin.switches import Switches
from proxy.models import Model
from proxy.models.provider import Wire
from proxy.upstreams.model_table import ModelFacts, lookup


@admin.register(Model)
class ModelAdmin(Switches, TenantScopedAdmin):
    list_display = ("name", "state", "provider", "price", "window")
    list_filter = (("provider", RelatedDropdownFilter), ("is_active", BooleanRadioFilter))
    list_select_related = ("provider",)
    search_fields = ("name", "upstream_name")
    search_help_text = _("Search by name or upstream name")
    autocomplete_fields = ("provider", "tenants")
    readonly_fields = ("price", "window")
    fieldsets = (
        (None, {"fields": ("name", ("provider", "upstream_name"), "is_active", "tenants")}),
        (_("Price"), {"fields": (("input_price_per_mtok", "output_price_per_mtok"), "price")}),
        (_("Limits"), {"fields": (("context_window", "max_output_tokens"), "window")}),
    )
    add_fieldsets = (
        (None, {"fields": ("name", ("provider", "upstream_name"), "is_active", "tenants")}),
        (_("Price"), {"fields": (("input_price_per_mtok", "output_price_per_mtok"),)}),
        (_("Limits"), {"fields": (("context_window", "max_output_tokens"),)}),
    )
    actions = ("switch_off", "switch_on")

    @admin.display(description=_("state"), ordering="is_active")
    def state(self, model: Model) -> SafeString:
        if model.is_active and not model.provider.is_active:
            return badge(_("provider is off"), "danger")
        return badge(_("active"), "success") if model.is_active else badge(_("switched off"), "danger")

    @admin.display(description=_("price in / out (US$ per million tokens)"))
    def price(self, model: Model) -> Text:
        if model.provider.wire == Wire.DEMO:
            return "-"
        facts = _facts(model)
        return _pair(
            _or_table(model.input_price_per_mtok, facts.input_price_per_mtok),
            _or_table(model.output_price_per_mtok, facts.output_price_per_mtok),
        )

    @admin.display(description=_("window / longest answer (tokens)"))
    def window(self, model: Model) -> Text:
        if model.provider.wire == Wire.DEMO:
            return "-"
        facts = _facts(model)
        return _pair(
            _or_table(model.context_window, facts.context_window),
            _or_table(model.max_output_tokens, facts.max_output_tokens),
        )


def _facts(model: Model) -> ModelFacts:
    return lookup(model.provider.kind, model.upstream_name) or ModelFacts()


def _or_table(own: Any, table: Any) -> tuple[str, bool]:
    """The value in use, and whether it is litellm's."""
    value = table if own is None else own
    if value is None:
        return "?", False
    return f"{value:,}" if isinstance(value, int) else f"{value.normalize():f}", own is None


def _pair(first: tuple[str, bool], second: tuple[str, bool]) -> Text:
    if first[0] == second[0] == "?":
        return _("unknown: fill it in")
    source = _("(litellm's table)") if first[1] or second[1] else ""
    return format_html('{} / {} <span class="text-subtle">{}</span>', first[0], second[0], source)
