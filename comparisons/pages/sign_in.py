"""Sign-in for members. The admin's own lets only operators and tenant administrators in."""

from typing import Any

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.attempts import limit_address, limit_username, remember_address
from accounts.errors import GatewayError, PartUnavailable, RateLimited
from comparisons.pages.members import with_policy

ADDRESS_RATE = "60/m"


class SignInForm(AuthenticationForm):
    """Django's, in our words."""

    error_messages = {
        "invalid_login": "Username or password is wrong. Both are case-sensitive.",
        "inactive": "This user is switched off. Ask an administrator of your tenant.",
    }


@sensitive_post_parameters("password")
@csrf_protect
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """The form, and on to where somebody wanted to go. Guessing is limited as it is for /auth/token."""
    onward = _onward(request)
    if request.user.is_authenticated and request.method != "POST":
        return redirect(onward)
    if request.method != "POST":
        return _form(request, SignInForm(request), onward)
    form = SignInForm(request, data=request.POST)
    try:
        limit_address(request, "sign-in", ADDRESS_RATE)
        limit_username(request, request.POST.get("username", ""))
        if not form.is_valid():
            return _form(request, form, onward)
        login(request, form.get_user())
        remember_address(request, form.cleaned_data["username"])
    except (RateLimited, PartUnavailable) as refusal:
        return _refused(request, refusal, onward)
    return redirect(onward)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """On to the form, which leads to `next`: whoever signs in as another wants to see the same page."""
    logout(request)
    onward = urlencode({"next": _onward(request)}) if "next" in request.POST else ""
    return redirect(f"{reverse('sign-in')}?{onward}" if onward else "sign-in")


def _form(request: HttpRequest, form: SignInForm, onward: str, **more: Any) -> HttpResponse:
    return with_policy(render(request, "comparisons/sign_in.html", {"form": form, "next": onward, **more}))


def _refused(request: HttpRequest, refusal: GatewayError, onward: str) -> HttpResponse:
    response = _form(request, SignInForm(request), onward, refusal=refusal.message)
    response.status_code = refusal.http_status
    for name, value in refusal.headers.items():
        response[name] = value
    return response


def _onward(request: HttpRequest) -> str:
    """`next`, as long as it stays on this site."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours else resolve_url(settings.LOGIN_REDIRECT_URL)
