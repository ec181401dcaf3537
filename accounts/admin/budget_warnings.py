"""Budget warnings: what was told to whom, and what could not be delivered. Nothing here is edited."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.humanize.templatetags.humanize import intcomma
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _, ngettext
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter

from accounts.admin.base import badge
from accounts.admin.scoping import ReadOnly, TenantScopedAdmin, TenantScopedInline
from accounts.models import BudgetWarning, WarningDelivery

NO_MAIL = _("No mail is sent: EMAIL_URL is not set. The setup notes say how.")


class WarningDeliveryInline(ReadOnly, TenantScopedInline):
    model = WarningDelivery
    hide_title = True
    tenant_admin_may = frozenset({"view"})
    fields = readonly_fields = ("channel", "to", "state", "attempts", "error")

    @admin.display(description=_("to"))
    def to(self, delivery: WarningDelivery) -> str:
        return delivery.address or str(_("the tenant’s webhook"))

    @admin.display(description=_("state"))
    def state(self, delivery: WarningDelivery) -> SafeString:
        if delivery.delivered_at:
            return badge(_("delivered %s") % f"{delivery.delivered_at:%Y-%m-%d %H:%M} UTC", "success")
        if delivery.given_up_at:
            return badge(_("given up"), "danger")
        return badge(_("next attempt %s") % f"{delivery.due_at:%H:%M} UTC", "warning")


@admin.register(BudgetWarning)
class BudgetWarningAdmin(ReadOnly, TenantScopedAdmin):
    tenant_lookup = "tenant"
    tenant_admin_may = frozenset({"view"})
    operator_fields = frozenset({"tenant"})

    list_display = ("created_at", "reached", "scope", "name", "tenant", "month", "tokens", "told")
    list_filter = (("scope", ChoicesDropdownFilter), ("tenant", RelatedDropdownFilter), "month")
    list_select_related = ("tenant",)
    search_fields = ("name", "tenant__name")
    search_help_text = _("Search by tenant, user or key")
    readonly_fields = ("reached", "tokens")
    fieldsets = (
        (None, {"fields": (("scope", "name"), "tenant", ("month", "created_at"), ("reached", "tokens"), "mode")}),
    )
    inlines = (WarningDeliveryInline,)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("deliveries")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not settings.GATEWAY_SENDS_MAIL:
            self.message_user(request, NO_MAIL, messages.WARNING)
        return super().changelist_view(request, extra_context)

    @admin.display(description=_("reached"), ordering="threshold")
    def reached(self, warning: BudgetWarning) -> SafeString:
        return badge(f"{warning.threshold} %", "danger" if warning.threshold >= 100 else "warning")

    @admin.display(description=_("tokens at that time"), ordering="used")
    def tokens(self, warning: BudgetWarning) -> str:
        return _("%(used)s of %(limit)s") % {"used": intcomma(warning.used), "limit": intcomma(warning.limit)}

    @admin.display(description=_("told"))
    def told(self, warning: BudgetWarning) -> SafeString | str:
        deliveries = list(warning.deliveries.all())
        if not deliveries:
            return str(_("nobody"))
        if lost := sum(delivery.given_up_at is not None for delivery in deliveries):
            return badge(ngettext("%d given up", "%d given up", lost) % lost, "danger")
        if waiting := sum(delivery.delivered_at is None for delivery in deliveries):
            return badge(ngettext("%d waits", "%d wait", waiting) % waiting, "warning")
        return badge(ngettext("%d delivered", "%d delivered", len(deliveries)) % len(deliveries), "success")
