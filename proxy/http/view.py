"""REST framework's APIView, awaited."""

import time
from typing import Any, NoReturn

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.views import APIView

from accounts.errors import MethodNotAllowed
from accounts.networks import client_ip
from accounts.parsers import StrictJSONParser
from proxy.http.request import JSONRequest
from proxy.http.response import set_header

OVERHEAD = "x-gateway-overhead-ms"
PARSERS, NEGOTIATOR = (StrictJSONParser(),), DefaultContentNegotiation()


class AsyncAPIView(APIView):
    """Keeps REST framework's parsers and exception handler, and awaits the handler. No SQL may run here.

    Authentication is a step of the handler itself (proxy.gateway): it belongs to the configuration version that the
    request is admitted on.
    """

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    http_method_names = ["get", "head", "post"]
    view_is_async = True  # Django would look at the handlers, which decorators (drf-spectacular's) may have wrapped

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> JSONRequest:
        context = self.get_parser_context(request)
        return JSONRequest(request, parsers=PARSERS, negotiator=NEGOTIATOR, parser_context=context)

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        began = time.perf_counter()
        self.args, self.kwargs = args, kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        method = (request.method or "").lower()
        known = method in self.http_method_names
        handler: Any = getattr(self, method, None) if known else None
        handler = handler or self.http_method_not_allowed
        try:
            response: HttpResponseBase = await handler(self.request, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - as REST framework does: the exception handler decides
            response = self.handle_exception(error)
        return with_gateway_headers(response, began)

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> NoReturn:
        allowed = ", ".join(self.allowed_methods)
        raise MethodNotAllowed(
            f"{request.method} is not allowed here, but {allowed}. See /api/docs for the methods of this route.",
            headers={"Allow": allowed},
        )

    @property
    def request_id(self) -> str:
        """The id that the ASGI entry point gave this request."""
        scope = getattr(self.request._request, "scope", None) or {}
        return str(scope.get("gateway.request_id", ""))

    @property
    def client_ip(self) -> str:
        meta = self.request.META
        return client_ip(meta.get("REMOTE_ADDR", ""), meta.get("HTTP_X_FORWARDED_FOR"))


def with_gateway_headers(response: HttpResponseBase, began: float) -> HttpResponseBase:
    """What every answer says, also of a request that asked no provider. `began`: by `time.perf_counter`."""
    if OVERHEAD not in response.headers:  # else it comes from a call, with the others
        for name, value in gateway_headers(began).items():
            set_header(response, name, value)
    return response


def gateway_headers(began: float) -> dict[str, str]:
    """Those of an answer that no provider was asked for."""
    overhead_ms = (time.perf_counter() - began) * 1000
    return {"x-gateway-attempts": "0", "x-gateway-cache": "bypass", OVERHEAD: f"{overhead_ms:.1f}"}
