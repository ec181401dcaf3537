"""Who may see the pages, and what browsers are told about them."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url
from django.utils import timezone
from django.utils.cache import patch_cache_control
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from accounts.models import User
from accounts.time_zones import zone

P = ParamSpec("P")

# Nothing but our own files runs, styles or is sent anywhere: what models answer is shown, and can do nothing.
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
)


class MemberRequest(HttpRequest):
    """A request that `member_page` let through: its user has a tenant. Only a type; Django makes no such object."""

    user: User
    htmx: HtmxDetails


Page = Callable[Concatenate[MemberRequest, P], HttpResponse]


def member_page(view: Page[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """A page for signed-in members of an active tenant; everybody else is told what to do."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            return with_policy(_to_sign_in(request))
        if not request.user.may_call or request.user.tenant is None:
            return with_policy(render(request, "comparisons/no_tenant.html", status=403))
        with timezone.override(zone(request.user.tenant.time_zone)):
            response = view(cast(MemberRequest, request), *args, **kwargs)
        return with_policy(response)

    return guarded


def with_policy(response: HttpResponse) -> HttpResponse:
    """What everyone's browser must know: no foreign content, no copies of the page, no address told to other sites."""
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response["Referrer-Policy"] = "same-origin"
    patch_cache_control(response, private=True, no_store=True)
    return response


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    """A part of a page must not become the sign-in form: the whole page goes there."""
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]  # set by django-htmx's middleware
    if htmx:
        here = htmx.current_url_abs_path or resolve_url(settings.LOGIN_REDIRECT_URL)
        return HttpResponseClientRedirect(redirect_to_login(here).url)
    return redirect_to_login(request.get_full_path())
