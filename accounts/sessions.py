"""Callers from our own pages: signed in with Django's session, in views that run without its middleware."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware

from accounts.callers import Caller
from accounts.errors import NotPermitted
from accounts.models import User
from accounts.sql import run_sql


class CsrfRefused(NotPermitted):
    code = "csrf_failed"


class _CsrfCheck(CsrfViewMiddleware):
    def _reject(self, request: HttpRequest, reason: str) -> Any:
        return reason


def has_session(request: HttpRequest) -> bool:
    """Whether it shows a session cookie and no other credential, which would count instead."""
    return (
        settings.SESSION_COOKIE_NAME in request.COOKIES
        and "authorization" not in request.headers
        and "x-api-key" not in request.headers
    )


async def caller_of_session(request: HttpRequest) -> Caller | None:
    """Who is signed in; None for a session that is over, or a user who may not call.

    A browser sends the cookie along whichever page asks it to, so anything but a read must prove that it comes from
    ours: with the header X-CSRFToken, as Django's own forms do. Raises CsrfRefused, PartUnavailable.
    """
    _require_own_page(request)
    return await run_sql(_caller, request)


def _require_own_page(request: HttpRequest) -> None:
    check = _CsrfCheck(lambda request: None)  # type: ignore[arg-type]  # it calls nothing
    check.process_request(request)
    reason = check.process_view(request, lambda request: None, (), {})  # type: ignore[arg-type,return-value]
    if reason:
        raise CsrfRefused(f"{reason} Reload the page, and send its CSRF token as X-CSRFToken.")


def _caller(request: HttpRequest) -> Caller | None:
    engine = import_module(settings.SESSION_ENGINE)
    request.session = engine.SessionStore(request.COOKIES[settings.SESSION_COOKIE_NAME])
    user = get_user(request)
    if not isinstance(user, User):
        return None
    return Caller.from_user(user)
