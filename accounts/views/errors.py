"""What unknown addresses and unexpected errors look like outside the API's own views."""

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.errors import GatewayError, InvalidRequest, NotFound, NotPermitted, error_response, request_id_of
from accounts.page_policy import PLAIN

API_PREFIXES = ("/v1/", "/chat/", "/auth/", "/api/", "/models", "/compare_models", "/health")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: requests that it finds suspicious, such as one for a host that is not ours."""
    if isinstance(exception, DisallowedHost):
        refusal = InvalidRequest(
            "This gateway does not answer to that host name. An operator can add it to ALLOWED_HOSTS."
        )
    else:
        refusal = InvalidRequest("The request is not valid. Check its address, its headers and its body.")
    return error_response(refusal, request_id_of(request))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404: a page for browsers, the contract's error for everyone else."""
    if _wants_page(request):
        return _page(request, "404.html", 404)
    refusal = NotFound(f"There is nothing at {request.path[:200]}. See /api/docs for the routes.")
    return error_response(refusal, request_id_of(request))


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500."""
    if _wants_page(request):
        return _page(request, "500.html", 500, request_id=request_id_of(request))
    refusal = GatewayError("The gateway made a mistake. Try again; if it happens again, report the request id.")
    return error_response(refusal, request_id_of(request))


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW: a form that another site may have sent, or a page that was open for too long."""
    if _wants_page(request):
        return _page(request, "403_csrf.html", 403)
    refusal = NotPermitted(f"{reason} Reload the page, and send it again.".lstrip(), code="csrf_failed")
    return error_response(refusal, request_id_of(request))


def _page(request: HttpRequest, template: str, status: int, **context: str) -> HttpResponse:
    response = render(request, template, context, status=status)
    response["Content-Security-Policy"] = PLAIN
    return response


def _wants_page(request: HttpRequest) -> bool:
    is_api = request.path.startswith(API_PREFIXES)
    return not is_api and "text/html" in request.headers.get("accept", "")
