"""REST framework's APIView, awaited."""

import time
from typing import Any, NoReturn

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.views import APIView

from accounts.errors import MethodNotAllowed
from accounts.networks import client_ip
from proxy.http.request import JSONRequest, WholeRequest
from proxy.http.response import set_header

OVERHEAD = "x-gateway-overhead-ms"


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

    request: JSONRequest

    async def dispatch(self, request: WholeRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        began = time.perf_counter()
        self.request = JSONRequest(request)
        method = request.method.lower()
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
        return str(self.request._request.scope["gateway.request_id"])

    @property
    def client_ip(self) -> str:
        client = self.request._request.scope.get("client")
        return client_ip(client[0] if client else "", self.request.headers.get("x-forwarded-for"))


def with_gateway_headers(response: HttpResponseBase, began: float) -> HttpResponseBase:
    """What every answer says, also of a request that asked no provider. `began`: by `time.perf_counter`."""
    if OVERHEAD not in response.headers._store:  # else it comes from a call, with the others
        for name, value in gateway_headers(began).items():
            set_header(response, name, value)
    return response


def gateway_headers(began: float) -> dict[str, str]:
    """Those of an answer that no provider was asked for."""
    overhead_ms = (time.perf_counter() - began) * 1000
    return {"x-gateway-attempts": "0", "x-gateway-cache": "bypass", OVERHEAD: f"{overhead_ms:.1f}"}
