"""Providers and our credentials for them, which can be set and removed here, but never read."""

import os
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import URLField
from django.http import HttpRequest, HttpResponseBase
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldBooleanSwitchWidget

from accounts.admin.base import ModelForm, badge, page_action
from accounts.admin.scoping import TenantScopedAdmin
from accounts.admin.switches import Switches
from accounts.encryption import CannotDecrypt
from proxy.admin.trials import TrialForm, trial_page
from proxy.models import Model, Provider
from proxy.models.provider import Wire


class ProviderForm(ModelForm):
    new_api_key = forms.CharField(
        label=_("New API key"),
        required=False,
        strip=True,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text=_("Stored encrypted and never shown again. Leave empty to keep what is there."),
    )
    remove_api_key = forms.BooleanField(
        label=_("Remove the stored API key"), required=False, widget=UnfoldBooleanSwitchWidget
    )

    class Meta:
        model = Provider
        fields: tuple[str, ...] = ()  # the admin adds those that it shows

    def clean(self) -> dict[str, Any] | None:
        data = super().clean() or self.cleaned_data
        if data.get("new_api_key") and data.get("remove_api_key"):
            self.add_error("remove_api_key", _("Either remove the stored key or give a new one."))
        return data

    @property
    def changes_credential(self) -> bool:
        return bool(self.cleaned_data["new_api_key"] or self.cleaned_data["remove_api_key"])


@admin.register(Provider)
class ProviderAdmin(Switches, TenantScopedAdmin):
    form = ProviderForm
    formfield_overrides = {URLField: {"assume_scheme": "https"}}
    list_display = ("name", "state", "kind", "spoken", "credential", "problem")
    list_filter = (("wire", ChoicesDropdownFilter), ("is_active", BooleanRadioFilter))
    search_fields = ("name", "kind")
    search_help_text = _("Search by name or kind")
    readonly_fields = ("credential", "problem")
    fieldsets = (
        (None, {"fields": (("name", "kind"), ("wire", "base_url"), "is_active", "problem")}),
        (
            _("Credential"),
            {"fields": ("credential", ("new_api_key", "api_key_env"), "remove_api_key", "needs_key")},
        ),
    )
    add_fieldsets = (
        (None, {"fields": (("name", "kind"), ("wire", "base_url"), "is_active")}),
        (_("Credential"), {"fields": (("new_api_key", "api_key_env"), "needs_key")}),
    )
    actions = ("switch_off", "switch_on")
    actions_detail = ("test_connection",)
    actions_row = ("test_connection",)

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        if form.changes_credential:
            obj.set_api_key(form.cleaned_data["new_api_key"])
            obj.flag, obj.flagged_at = "", None  # what was refused was the old one
        super().save_model(request, obj, form, change)

    @page_action(_("Test connection"), icon="network_check", path="test")
    def test_connection(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        provider = self.get_object_or_404(request, object_id)
        names = list(Model.objects.filter(provider=provider, is_active=True).values_list("name", flat=True))
        form = TrialForm(request.POST or None, names=names)
        return trial_page(self, request, provider, form, _("Test the connection to %s") % provider)

    @admin.display(description=_("state"), ordering="is_active")
    def state(self, provider: Provider) -> SafeString:
        return badge(_("active"), "success") if provider.is_active else badge(_("switched off"), "danger")

    @admin.display(description=_("wire"), ordering="wire")
    def spoken(self, provider: Provider) -> str:
        return provider.wire

    @admin.display(description=_("API key"))
    def credential(self, provider: Provider) -> SafeString | str:
        if provider.sealed_api_key:
            return _stored(provider)
        if provider.api_key_env and os.environ.get(provider.api_key_env, "").strip():
            return badge(_("from %s") % provider.api_key_env, "success")
        if not provider.needs_key or provider.wire == Wire.DEMO:
            return badge(_("needs no key"))
        if provider.api_key_env:
            return badge(_("no key: %s is not set") % provider.api_key_env, "warning")
        return badge(_("no key"), "warning")

    @admin.display(description=_("problem"), ordering="flagged_at")
    def problem(self, provider: Provider) -> SafeString | str:
        if not provider.flag:
            return "-"
        since = f"{provider.flagged_at:%Y-%m-%d %H:%M} UTC" if provider.flagged_at else ""
        return format_html('<span class="text-red-600 dark:text-red-500" title="{}">{}</span>', since, provider.flag)


def _stored(provider: Provider) -> SafeString:
    try:
        provider.api_key()
    except CannotDecrypt:
        return badge(_("unreadable: enter it again"), "danger")
    return badge(_("a key is stored"), "success")


def flagged_count(request: HttpRequest) -> int | str:
    """For the side bar: how many providers refused our credential."""
    return Provider.objects.exclude(flag="").count() or ""
