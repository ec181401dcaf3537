"""Tenants: operators look after them, a tenant administrator sees the own one."""

from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter

from accounts.admin.base import badge
from accounts.admin.budget_warnings import NO_MAIL
from accounts.admin.budgets import BudgetPage, this_month
from accounts.admin.links import list_url
from accounts.admin.scoping import TenantScopedAdmin
from accounts.admin.switches import Switches
from accounts.callers import tenant_budget
from accounts.models import Tenant, User
from accounts.models.budget_warning import addresses
from accounts.webhooks import secret_of


@admin.register(Tenant)
class TenantAdmin(BudgetPage, Switches, TenantScopedAdmin):
    tenant_lookup = "pk"
    tenant_admin_may = frozenset({"view"})

    list_display = (
        "name",
        "state",
        "user_count",
        "monthly_token_budget",
        "budget_mode",
        "requests_per_minute",
        "time_zone",
    )
    list_filter = (("is_active", BooleanRadioFilter), ("budget_mode", ChoicesDropdownFilter))
    search_fields = ("name",)
    search_help_text = _("Search by name")
    readonly_fields = ("user_count", "created_at", "this_month", "mail", "webhook_secret")
    operator_fields = frozenset({"webhook_url", "webhook_secret"})
    fieldsets = (
        (None, {"fields": (("name", "time_zone"), "is_active", ("user_count", "created_at"))}),
        (_("Limits"), {"fields": ("this_month", ("monthly_token_budget", "budget_mode"), "requests_per_minute")}),
        (_("Budget warnings, at 80 % and 100 %"), {"fields": ("mail", "webhook_url", "webhook_secret")}),
        (_("What is kept"), {"fields": ("store_bodies_days", "keep_comparisons_days")}),
    )
    actions = ("switch_off", "switch_on")

    def get_queryset(self, request: HttpRequest) -> Any:
        active_users = Count("users", filter=Q(users__is_active=True))
        return super().get_queryset(request).annotate(active_users=active_users).order_by("name")

    @admin.display(description=_("this month"))
    def this_month(self, tenant: Tenant) -> SafeString | str:
        return this_month(tenant_budget(tenant), tenant.time_zone, tenant) if tenant.pk else "-"

    @admin.display(description=_("mail goes to"))
    def mail(self, tenant: Tenant) -> str:
        if not settings.GATEWAY_SENDS_MAIL:
            return str(NO_MAIL)
        told = ", ".join(addresses(tenant.pk) if tenant.pk else ())
        return told or str(_("nobody: no administrator of this tenant has an address"))

    @admin.display(description=_("webhook secret"))
    def webhook_secret(self, tenant: Tenant) -> SafeString | str:
        """What a receiver checks the signature with."""
        if not tenant.webhook_url:
            return str(_("Save the tenant with a webhook to see its secret."))
        return format_html('<code style="word-break: break-all">{}</code>', secret_of(tenant.pk, tenant.webhook_url))

    @admin.display(description=_("state"), ordering="is_active")
    def state(self, tenant: Tenant) -> SafeString:
        return badge(_("active"), "success") if tenant.is_active else badge(_("switched off"), "danger")

    @admin.display(description=_("active users"), ordering="active_users")
    def user_count(self, tenant: Any) -> SafeString | str:
        if tenant.pk is None:
            return "-"
        return format_html(
            '<a class="text-link" href="{}">{}</a>', list_url(User, tenant__id__exact=tenant.pk), tenant.active_users
        )
