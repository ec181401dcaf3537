"""API keys: issued (and shown once), revoked, rotated with an overlap."""

from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Case, CharField, Q, QuerySet, Value, When
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _, ngettext
from unfold.contrib.filters.admin import DropdownFilter, RelatedDropdownFilter

from accounts.admin.base import Fieldset, ModelForm, Text, badge, page_action, page_context
from accounts.admin.budgets import BudgetPage, this_month
from accounts.admin.fields import NamesField, NetworksField, OverlapForm
from accounts.admin.issued import IssuedKeys
from accounts.admin.links import list_url
from accounts.admin.offers import names_in, offered_to
from accounts.admin.scoping import TenantScopedAdmin
from accounts.admin.snippets import snippets
from accounts.admin_site import tenant_of
from accounts.callers import key_budget
from accounts.models import APIKey

VARIANTS = {"active": "success", "expired": "warning", "revoked": "danger", "blocked": "danger"}
STATES = (
    ("active", _("Active")),
    ("expired", _("Expired")),
    ("revoked", _("Revoked")),
    ("blocked", _("User or tenant switched off")),
)


STATE = Case(
    When(revoked_at__isnull=False, then=Value("revoked")),
    When(expires_at__lte=Now(), then=Value("expired")),
    When(Q(user__is_active=False) | Q(user__tenant=None) | Q(user__tenant__is_active=False), then=Value("blocked")),
    default=Value("active"),
    output_field=CharField(),
)


class APIKeyForm(ModelForm):
    allowed_models = NamesField(
        label=_("Allowed chains and models"),
        required=False,
        help_text=_("Leave empty to allow everything that the tenant may use."),
    )
    allowed_networks = NetworksField(
        label=_("Allowed networks"),
        required=False,
        help_text=_("One in a line, for example 10.0.0.0/8. Leave empty to allow calls from anywhere."),
    )

    # Whose names to offer; None: all there are. Set on the class that the admin makes for each request.
    tenant_id: ClassVar[int | None] = None

    class Meta:
        model = APIKey
        fields: tuple[str, ...] = ()  # the admin adds those that it shows

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(names := self.fields.get("allowed_models"), NamesField):
            names.offer(offered_to(self.tenant_id), self.instance.allowed_models)

    def clean(self) -> dict[str, Any] | None:
        data = super().clean() or self.cleaned_data
        user = data.get("user") or getattr(self.instance, "user", None)
        if user and user.tenant_id is None:
            self.add_error("user", _("This user belongs to no tenant and cannot call the gateway. Choose another one."))
        elif user:
            self._check_names(data.get("allowed_models", []), user.tenant_id)
        return data

    def _check_names(self, names: list[str], tenant_id: int) -> None:
        known = {*names_in(offered_to(tenant_id)), *self.instance.allowed_models}
        if foreign := [name for name in names if name not in known]:
            message = _("The tenant of this user may not use %(names)s. Remove it, or offer it to the tenant first.")
            self.add_error("allowed_models", ValidationError(message, params={"names": ", ".join(foreign)}))


class StateFilter(DropdownFilter):  # type: ignore[misc]  # Unfold has no types
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return STATES

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(state=self.value()) if self.value() in dict(STATES) else queryset


@admin.register(APIKey)
class APIKeyAdmin(BudgetPage, TenantScopedAdmin):
    tenant_lookup = "user__tenant"
    tenant_admin_may = frozenset({"view", "add", "change", "delete"})
    operator_fields = frozenset({"tenant", "user__tenant"})

    form = APIKeyForm
    list_display = ("name", "key", "user", "tenant", "state_badge", "expires_at", "last_used_at", "created_at")
    list_filter = (StateFilter, ("user__tenant", RelatedDropdownFilter))
    list_select_related = ("user__tenant",)
    search_fields = ("name", "user__username", "prefix", "last_four")
    search_help_text = _("Search by name, user or start of the key")
    autocomplete_fields = ("user",)
    readonly_fields = ("key", "state_badge", "created_at", "last_used_at", "revoked_at", "this_month")
    limits: tuple[Fieldset, ...] = (
        (_("What it may do"), {"fields": ("allowed_models", "allowed_networks", "comparing")}),
        (_("Limits"), {"fields": (("monthly_token_budget", "requests_per_minute"), "concurrent_requests")}),
    )
    fieldsets = (
        (None, {"fields": (("name", "user"), ("key", "state_badge"), "expires_at")}),
        (_("This month"), {"fields": ("this_month",)}),
        *limits,
        (_("Activity"), {"fields": (("created_at", "last_used_at", "revoked_at"),)}),
    )
    add_fieldsets = ((None, {"fields": (("name", "user"), "expires_at")}), *limits)
    actions = ("revoke", "rotate")
    actions_detail = ("rotate_one", "revoke_one")
    actions_row = ("rotate_one", "revoke_one")
    change_form_outer_after_template = "admin/snippets.html"

    @admin.display(description=_("tokens"))
    def this_month(self, key: APIKey) -> SafeString | str:
        return this_month(key_budget(key), key.user.tenant.time_zone if key.user.tenant else "UTC", key)

    def scope(self, queryset: QuerySet[Any], tenant_id: int) -> QuerySet[Any]:
        return super().scope(queryset, tenant_id).filter(user__is_superuser=False)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(state=STATE)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return (*fields, "user") if obj else fields

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.tenant_id = obj.user.tenant_id if obj else tenant_of(request.user)
        return form

    def get_urls(self) -> list[URLPattern]:
        shown = path("issued/", self.admin_site.admin_view(self.issued), name="accounts_apikey_issued")
        return [shown, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        only_save = {"show_save_and_continue": False, "show_save_and_add_another": False}
        return super().add_view(
            request, form_url, {**(extra_context or {}), **only_save, "title": _("Issue an API key")}
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context: dict[str, Any] = {
            "heading": _("Call the gateway with this key"),
            "show_save_and_add_another": False,
        }
        if row:
            context["snippets"] = snippets(request, _model_for(row))
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def save_model(self, request: HttpRequest, obj: APIKey, form: Any, change: bool) -> None:
        plain = None if change else obj.assign_key()
        super().save_model(request, obj, form, change)
        if plain:
            IssuedKeys(request).put(obj, plain)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:accounts_apikey_issued"))

    def issued(self, request: HttpRequest) -> HttpResponse:
        """The one time that new keys are shown."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        keys = IssuedKeys(request).take()
        first = keys[0] if keys else None
        context = {
            **page_context(self, request, _("Your new API key") if len(keys) == 1 else _("Your new API keys")),
            "keys": keys,
            "snippets": snippets(request, _model_for(first.row), first.plain) if first else [],
        }
        return TemplateResponse(request, "admin/accounts/apikey/issued.html", context)

    @admin.action(description=_("Revoke"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        rows = list(queryset.filter(revoked_at=None))
        if "confirmed" not in request.POST:
            return self._ask(request, rows, _("Revoke API keys"), action="revoke")
        with transaction.atomic():
            for row in rows:
                row.revoke()
                self.log_change(request, row, "Revoked.")
        text = ngettext("%d key was revoked.", "%d keys were revoked.", len(rows)) % len(rows)
        self.message_user(request, f"{text} " + _("The next request with it is refused."), messages.SUCCESS)
        return HttpResponseRedirect(list_url(APIKey))

    @admin.action(description=_("Rotate"), permissions=["change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        rows = list(queryset.filter(state="active"))
        form = OverlapForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return self._ask(request, rows, _("Rotate API keys"), action="rotate", form=form)
        with transaction.atomic():
            for row in rows:
                successor, plain = row.rotate(timedelta(hours=form.cleaned_data["hours"]))
                IssuedKeys(request).put(successor, plain)
                self.log_addition(request, successor, f"Issued as the successor of {row.masked}.")
                self.log_change(request, row, f"Rotated; works until {row.expires_at:%Y-%m-%d %H:%M} UTC.")
        return HttpResponseRedirect(reverse("admin:accounts_apikey_issued"))

    @page_action(_("Revoke"), icon="block", path="revoke")
    def revoke_one(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        return self.revoke(request, self._only(request, object_id))

    @page_action(_("Rotate"), icon="autorenew", path="rotate")
    def rotate_one(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        return self.rotate(request, self._only(request, object_id))

    def _only(self, request: HttpRequest, object_id: str) -> Any:
        return self.get_queryset(request).filter(pk=self.get_object_or_404(request, object_id).pk)

    def _ask(self, request: HttpRequest, rows: list[Any], title: Text, **context: Any) -> HttpResponse:
        """The page between choosing keys and doing something with them."""
        context |= page_context(self, request, title) | {"rows": rows, "back": list_url(APIKey)}
        return TemplateResponse(request, "admin/accounts/apikey/confirm.html", context)

    @admin.display(description=_("key"))
    def key(self, row: APIKey) -> SafeString:
        return format_html('<code class="whitespace-nowrap">{}</code>', row.masked)

    @admin.display(description=_("tenant"), ordering="user__tenant__name")
    def tenant(self, row: APIKey) -> str:
        return str(row.user.tenant or "-")

    @admin.display(description=_("state"), ordering="state")
    def state_badge(self, row: Any) -> SafeString:
        return badge(dict(STATES)[row.state], VARIANTS[row.state])


def _model_for(row: APIKey) -> str:
    """A name that a call with this key can use: the first that it is limited to, or the first that it is offered."""
    return next(iter([*row.allowed_models, *names_in(offered_to(row.user.tenant_id))]), "default")
