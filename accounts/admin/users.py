"""Users: operators see all of them, a tenant administrator those of the own tenant that are no operators."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter, RelatedDropdownFilter

from accounts.admin.base import AdminPasswordChangeForm, Fieldset, ModelForm, UserChangeForm, UserCreationForm, badge
from accounts.admin.budgets import BudgetPage, this_month
from accounts.admin.links import list_url
from accounts.admin.scoping import TenantScopedAdmin
from accounts.admin.switches import Switches
from accounts.admin_site import is_operator, tenant_of
from accounts.callers import user_budget
from accounts.models import APIKey, User
from accounts.models.user import Role

LIMITS: Fieldset = (_("Limits"), {"fields": (("monthly_token_budget", "requests_per_minute"),)})
# What nobody may take from or give to themselves.
OWN_RIGHTS = ("is_active", "role", "is_superuser")


class TenantRule(ModelForm):
    """Only operators may be without a tenant. Tenant administrators do not see the field: theirs is filled in."""

    def clean(self) -> dict[str, Any] | None:
        data = super().clean() or self.cleaned_data
        if "tenant" in self.fields and not data.get("tenant") and not data.get("is_superuser"):
            self.add_error("tenant", _("Choose a tenant. Only operators can be without one."))
        return data


class Wording:
    model = User
    labels = {"is_superuser": _("Operator")}
    help_texts = {
        "is_active": _("Untick to refuse this user's logins and API keys at once."),
        "is_superuser": _("Operators run this gateway: they see and change everything, in every tenant."),
        "role": _("Tenant administrators look after the users, keys and usage of their tenant in this admin."),
    }


class ExistingUserForm(TenantRule, UserChangeForm):
    class Meta(Wording, UserChangeForm.Meta):
        pass


class NewUserForm(TenantRule, UserCreationForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["usable_password"].label = _("Signing in")
        self.fields["usable_password"].help_text = _("Choose “Disabled” for a service that only uses API keys.")

    class Meta(Wording, UserCreationForm.Meta):
        pass


@admin.register(User)
class UserAdmin(BudgetPage, Switches, TenantScopedAdmin, DjangoUserAdmin):
    tenant_lookup = "tenant"
    tenant_admin_may = frozenset({"view", "add", "change", "delete"})
    operator_fields = frozenset({"tenant", "is_superuser"})

    form = ExistingUserForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    add_form_template = None

    list_display = ("username", "tenant", "rights", "state", "key_count", "monthly_token_budget", "last_login")
    list_filter = (
        ("tenant", RelatedDropdownFilter),
        ("role", ChoicesDropdownFilter),
        ("is_active", BooleanRadioFilter),
        ("is_superuser", BooleanRadioFilter),
    )
    list_select_related = ("tenant",)
    search_fields = ("username", "first_name", "last_name", "email")
    search_help_text = _("Search by username, name or email")
    autocomplete_fields = ("tenant",)
    filter_horizontal = ()
    readonly_fields = ("key_count", "last_login", "date_joined", "this_month")
    fieldsets = (
        (None, {"fields": ("username", "password", ("tenant", "role"), "is_active", "is_superuser")}),
        (_("Person or service"), {"fields": (("first_name", "last_name"), "email")}),
        (_("This month"), {"fields": ("this_month",)}),
        LIMITS,
        (_("Activity"), {"fields": (("key_count", "last_login", "date_joined"),)}),
    )
    add_fieldsets = (
        (None, {"fields": ("username", "usable_password", ("password1", "password2"))}),
        (_("Rights"), {"fields": (("tenant", "role"), "is_superuser")}),
        (_("Person or service"), {"fields": (("first_name", "last_name"), "email")}),
        LIMITS,
    )
    actions = ("switch_off", "switch_on")

    @admin.display(description=_("tokens"))
    def this_month(self, user: User) -> SafeString | str:
        return this_month(user_budget(user), user.tenant.time_zone if user.tenant else "UTC", user)

    def scope(self, queryset: QuerySet[Any], tenant_id: int) -> QuerySet[Any]:
        return super().scope(queryset, tenant_id).filter(is_superuser=False)

    def get_queryset(self, request: HttpRequest) -> Any:
        keys = Count("api_keys", filter=Q(api_keys__revoked_at=None))
        return super().get_queryset(request).annotate(keys=keys).order_by("username")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return (*fields, *OWN_RIGHTS) if obj is not None and obj.pk == request.user.pk else fields

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if str(getattr(obj, "pk", obj)) == str(request.user.pk):
            return False
        return super().has_delete_permission(request, obj)

    def may_switch(self, request: HttpRequest, row: Any) -> bool:
        return bool(row.pk != request.user.pk)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not is_operator(request.user):
            obj.tenant_id = tenant_of(request.user)
        obj.is_staff = obj.is_superuser or obj.role == Role.TENANT_ADMIN
        super().save_model(request, obj, form, change)

    @admin.display(description=_("rights"), ordering="role")
    def rights(self, user: User) -> SafeString:
        if user.is_superuser:
            return badge(_("operator"), "warning")
        return badge(user.get_role_display(), "info" if user.is_tenant_admin else "default")

    @admin.display(description=_("state"), ordering="is_active")
    def state(self, user: User) -> SafeString:
        if not user.is_active:
            return badge(_("switched off"), "danger")
        if user.tenant and not user.tenant.is_active:
            return badge(_("tenant is off"), "danger")
        return badge(_("active"), "success")

    @admin.display(description=_("API keys"), ordering="keys")
    def key_count(self, user: Any) -> SafeString | str:
        if user.pk is None:
            return "-"
        return format_html(
            '<a class="text-link" href="{}">{}</a>', list_url(APIKey, user__id__exact=user.pk), user.keys
        )
