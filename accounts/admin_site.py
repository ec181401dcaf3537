"""The admin site: who may come in, and how often somebody may try.

Operators (superusers) see everything, tenant administrators their own tenant, everybody else nothing. Not a part of
`accounts.admin`, because the site must be there before the modules that register with it.
"""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser, Group
from django.core.paginator import Paginator
from django.db.models.base import ModelBase
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from accounts.attempts import limit_address, limit_username, remember_address
from accounts.errors import GatewayError, PartUnavailable, RateLimited
from accounts.models import User
from accounts.page_policy import ADMIN, page_policy

if TYPE_CHECKING:  # see accounts.admin.base
    from django.contrib.admin import AdminSite
    from django.contrib.admin.forms import AdminAuthenticationForm as AuthenticationForm
else:
    from unfold.forms import AuthenticationForm
    from unfold.sites import UnfoldAdminSite as AdminSite

ADDRESS_RATE = "60/m"


# Rights follow a user's role, and tokens end by themselves: pages for these would promise what they do not do.
LEFT_OUT = frozenset({Group, BlacklistedToken, OutstandingToken})


def is_operator(user: AbstractBaseUser | AnonymousUser) -> bool:
    return isinstance(user, User) and user.is_active and user.is_superuser


def tenant_of(user: AbstractBaseUser | AnonymousUser) -> int | None:
    """The tenant that this tenant administrator looks after; None for operators and for everybody else."""
    if not isinstance(user, User) or user.is_superuser or not user.is_active or not user.is_tenant_admin:
        return None
    return user.tenant_id if user.tenant and user.tenant.is_active else None


def may_enter(user: AbstractBaseUser | AnonymousUser) -> bool:
    return is_operator(user) or tenant_of(user) is not None


class SignInForm(AuthenticationForm):
    """Tells users who may not come in that it is not their password that is wrong."""

    def confirm_login_allowed(self, user: Any) -> None:
        super().confirm_login_allowed(user)
        if not may_enter(user):
            raise forms.ValidationError(
                "Only operators and tenant administrators of an active tenant can use this admin. Ask one of them."
            )


class GatewayAdminSite(AdminSite):
    """Open to operators and tenant administrators. Guessing at passwords is limited as it is for /auth/token."""

    login_form = SignInForm
    index_title = "Overview"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        models = [model_or_iterable] if isinstance(model_or_iterable, ModelBase) else model_or_iterable
        super().register([model for model in models if model not in LEFT_OUT], admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        return may_enter(request.user)

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        return page_policy(ADMIN)(super().admin_view(view, cacheable))

    @method_decorator(page_policy(ADMIN))
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if REDIRECT_FIELD_NAME not in request.GET:
            # Unfold's form sends nothing but its own address to say where to go next.
            onward = {"app_path": f"{request.path}?{urlencode({REDIRECT_FIELD_NAME: reverse('admin:index')})}"}
            extra_context = {**(extra_context or {}), **onward}
        if request.method != "POST":
            return super().login(request, extra_context)
        username = request.POST.get("username", "")
        try:
            limit_address(request, "admin-login", ADDRESS_RATE)
            limit_username(request, username)
            response = super().login(request, extra_context)
            if request.user.is_authenticated:
                remember_address(request, username)
        except (RateLimited, PartUnavailable) as refusal:
            return self._refuse(request, refusal)
        return response

    def _refuse(self, request: HttpRequest, refusal: GatewayError) -> HttpResponse:
        context = {**self.each_context(request), "title": "Sign-in paused", "message": refusal.message}
        response = render(request, "admin/sign_in_refused.html", context, status=refusal.status)
        for name, value in refusal.headers.items():
            response[name] = value
        return response

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        """Unfold's, without badges that have nothing to say: it would draw them empty."""
        groups: list[dict[str, Any]] = super().get_sidebar_list(request)  # type: ignore[misc]  # Unfold's
        for page in (page for group in groups for page in group["items"] if page["has_permission"]):
            page["badge"] = str(page.pop("badge_callback", ""))
        return groups

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The pages whose name contains the text. Unlike Unfold's not from the cache: they follow the role."""
        text = request.GET.get("s", "").strip().lower()
        if not text:
            return HttpResponse()
        pages = self._search_apps(self.get_app_list(request), text)  # type: ignore[attr-defined]  # Unfold's
        template = "command_results.html" if "extended" in request.GET else "search_results.html"
        context = {"results": pages, "page_obj": Paginator(pages, 100), "page_counter": 0, "execution_time": 0}
        return TemplateResponse(request, f"unfold/helpers/{template}", context)


def operators_only(request: HttpRequest) -> bool:
    """For links of the side bar."""
    return is_operator(request.user)
