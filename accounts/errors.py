"""Every refusal of the gateway, and the one place where an error becomes a response.

    GatewayError                      status  type                   code
    ├── InvalidRequest                400     invalid_request_error  (given)
    │   ├── NotAcceptable             406                            not_acceptable
    │   ├── BodyTooLarge              413                            body_too_large
    │   └── NotJSON                   415                            unsupported_media_type
    ├── InvalidCredential             401     authentication_error   invalid_api_key
    ├── NotPermitted                  403     permission_error       (given)
    ├── NotFound                      404     invalid_request_error  not_found
    ├── RateLimited                   429     rate_limit_error       rate_limit_exceeded
    └── PartUnavailable               503     gateway_error          ledger_unavailable
        └── Overloaded                                               overloaded

The other apps add their own branches (`proxy.errors`). The body is OpenAI's: {"error": {message, type, param, code,
request_id}}, with `attempts` when upstreams failed.
"""

import logging
import math
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
from django.core.exceptions import (
    NON_FIELD_ERRORS,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse, UnreadablePostError
from redis.exceptions import RedisError
from rest_framework import exceptions as drf
from rest_framework.fields import get_error_detail
from rest_framework.settings import api_settings
from rest_framework_simplejwt.exceptions import TokenError

logger = logging.getLogger(__name__)


class GatewayError(Exception):
    """A refusal with a message that says what to do next."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "gateway_error"
    code: str = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.code
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))

    @property
    def http_status(self) -> int:
        return self.status

    def body(self, request_id: str) -> dict[str, Any]:
        """What stands under "error"."""
        return {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
            "request_id": request_id,
        }


class InvalidRequest(GatewayError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class NotAcceptable(InvalidRequest):
    status = 406
    code = "not_acceptable"


class BodyTooLarge(InvalidRequest):
    status = 413
    code = "body_too_large"


class NotJSON(InvalidRequest):
    status = 415
    code = "unsupported_media_type"


class InvalidCredential(GatewayError):
    status = 401
    type = "authentication_error"
    code = "invalid_api_key"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"WWW-Authenticate": "Bearer"})


class NotPermitted(GatewayError):
    status = 403
    type = "permission_error"
    code = "permission_denied"


class NotFound(GatewayError):
    status = 404
    type = "invalid_request_error"
    code = "not_found"


class MethodNotAllowed(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class RateLimited(GatewayError):
    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class PartUnavailable(GatewayError):
    """A part that the request needs (Redis, Postgres) does not answer just now."""

    status = 503
    code = "ledger_unavailable"

    def __init__(self, message: str, *, retry_after_s: float = 2) -> None:
        super().__init__(message, retry_after_s=retry_after_s)


class Overloaded(PartUnavailable):
    code = "overloaded"


def render_error(error: Exception, context: dict[str, Any]) -> HttpResponse:
    """REST framework's EXCEPTION_HANDLER: any exception of an API view becomes the contract's answer."""
    request = context.get("request")
    return error_response(error, request_id_of(request))


def error_response(error: Exception, request_id: str) -> HttpResponse:
    refusal = _as_gateway_error(error)
    if refusal.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR and refusal is not error:
        logger.error("Unexpected error in request %s", request_id, exc_info=error)
    body = orjson.dumps({"error": refusal.body(request_id)})
    response = HttpResponse(body, status=refusal.http_status, content_type="application/json", headers=refusal.headers)
    response["x-request-id"] = request_id
    return response


def request_id_of(request: Any) -> str:
    """The id that the ASGI entry point gave the request; "" outside of it."""
    scope = getattr(getattr(request, "_request", request), "scope", None)
    return scope.get("gateway.request_id", "") if scope else ""


def _as_gateway_error(error: Exception) -> GatewayError:
    """Translate what Django, REST framework and simplejwt raise."""
    match error:
        case GatewayError():
            return error
        case drf.Throttled():
            return RateLimited("Too many requests. Wait, then try again.", retry_after_s=error.wait)  # type: ignore[attr-defined]  # the stubs forget it
        case drf.ValidationError() | ValidationError():
            detail = error.detail if isinstance(error, drf.ValidationError) else get_error_detail(error)
            param, message = _first_problem(detail)
            return InvalidRequest(message, param=param)
        case drf.NotAcceptable():
            return NotAcceptable("This route answers in JSON. Send Accept: application/json, or leave the header out.")
        case drf.UnsupportedMediaType():
            return NotJSON("Send the body as JSON, with the header Content-Type: application/json.")
        case drf.ParseError():
            return InvalidRequest(str(error.detail), code="invalid_json")
        case drf.AuthenticationFailed() | drf.NotAuthenticated() | TokenError():
            return InvalidCredential(_credential_message(error))
        case drf.MethodNotAllowed():
            return MethodNotAllowed(f"{error.detail} See /api/docs for the methods of this route.")
        case Http404() | drf.NotFound():
            return NotFound("There is nothing at this address. See /api/docs for the routes.")
        case PermissionDenied() | drf.PermissionDenied():
            return NotPermitted("You may not do this. Ask an administrator of your tenant.")
        case RequestDataTooBig():
            return BodyTooLarge("The body is too large for this route. Send a smaller one.")
        case SuspiciousOperation() | UnreadablePostError():
            return InvalidRequest("The request could not be read. Check how it is built, then send it again.")
        case OperationalError() | InterfaceError() | RedisError():
            return PartUnavailable("A part of the gateway does not answer just now. Try again in a moment.")
        case _:
            return GatewayError("The gateway made a mistake. Try again; if it happens again, report the request id.")


def _credential_message(error: Exception) -> str:
    detail = getattr(error, "detail", None)
    if isinstance(detail, dict):  # simplejwt: {"detail": …, "code": …}
        detail = detail.get("detail")
    return str(detail or error) or "The credential is not valid."


def _first_problem(detail: Any, path: str = "") -> tuple[str | None, str]:
    """The first message of a serializer's nested errors, with the path of its field, such as `models.0.name`."""
    children = detail.items() if isinstance(detail, dict) else enumerate(detail) if isinstance(detail, list) else ()
    for name, problem in children:
        if problem:  # a list's items without errors are empty
            is_message = isinstance(detail, list) and isinstance(problem, str)
            is_whole = is_message or name in {api_settings.NON_FIELD_ERRORS_KEY, NON_FIELD_ERRORS}
            return _first_problem(problem, path if is_whole else f"{path}.{name}".lstrip("."))
    message = str(detail or "The request is not valid.")
    return (path, f"{path}: {message}") if path else (None, message)
