"""Top-ups: rows that say who gave a budget how much more, when and why. Written once, never edited."""

from typing import Any

from django.contrib import admin
from django.db import models
from django.db.models import Q
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from accounts.admin.base import ModelForm
from accounts.admin.scoping import TenantScopedAdmin
from accounts.models import TopUp


@admin.register(TopUp)
class TopUpAdmin(TenantScopedAdmin):
    tenant_admin_may = frozenset({"view"})

    list_display = ("created_at", "scope_of", "subject", "month", "signed_tokens", "reason", "created_by")
    list_display_links = ("created_at",)
    list_filter = ("month",)
    search_fields = ("reason", "tenant__name", "user__username", "api_key__name")
    search_help_text = _("Search by reason, tenant, user or key")
    autocomplete_fields = ("tenant", "user", "api_key")
    list_select_related = ("tenant", "user", "api_key", "created_by")
    fieldsets = (
        (
            None,
            {
                "fields": ("tenant", "user", "api_key", ("month", "tokens"), "reason"),
                "description": _(
                    "Choose one tenant, user or key. The tokens are added to that month's budget from the next request "
                    "on; a negative number takes tokens away. To reset a month, add what was spent: "
                    "the budget's page has a link for that."
                ),
            },
        ),
    )

    @admin.display(description=_("budget of"))
    def scope_of(self, top_up: TopUp) -> str:
        return str(capfirst(top_up.subject._meta.verbose_name)) if top_up.subject else "-"

    @admin.display(description=_("name"))
    def subject(self, top_up: TopUp) -> str:
        return str(top_up.subject)

    @admin.display(description=_("tokens"), ordering="tokens")
    def signed_tokens(self, top_up: TopUp) -> str:
        return f"{top_up.tokens:+,}"

    def scope(self, queryset: models.QuerySet[Any], tenant_id: int) -> models.QuerySet[Any]:
        mine = Q(tenant=tenant_id) | Q(user__tenant=tenant_id) | Q(api_key__user__tenant=tenant_id)
        return queryset.filter(mine)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        obj.created_by = request.user
        super().save_model(request, obj, form, change)
