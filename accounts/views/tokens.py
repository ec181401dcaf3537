"""The /auth/* routes: from username and password to tokens, and the end of them."""

from typing import Any, ClassVar

from django.http import HttpRequest
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework_simplejwt.views import TokenViewBase

from accounts.attempts import limit_address
from accounts.serializers import (
    ErrorEnvelopeSerializer,
    LogoutSerializer,
    TokenPairSerializer,
    TokenRefreshSerializer,
    TokenSerializer,
    TokenVerifySerializer,
)

ERRORS = dict.fromkeys((400, 401, 405, 406, 408, 413, 415, 429, 503), ErrorEnvelopeSerializer)


class AuthView(TokenViewBase):
    """What the routes have in common. `rate` is per address and route."""

    rate: ClassVar[str] = "60/m"

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        # REST framework takes a body without Content-Length (chunked, HTTP/2) for none; any other number makes it read.
        request.META.setdefault("CONTENT_LENGTH", "-1")
        return super().initialize_request(request, *args, **kwargs)

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {**super().default_response_headers, "Cache-Control": "no-store"}  # RFC 6749, 5.1

    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        limit_address(request._request, type(self).__name__, self.rate)
        return super().post(request, *args, **kwargs)


@extend_schema_view(
    post=extend_schema(
        tags=["auth"],
        operation_id="create_token",
        summary="Log in",
        description="Username and password of a tenant's user in, an access and a refresh token out.",
        auth=[],
        request=TokenSerializer,
        responses={200: TokenPairSerializer, **ERRORS},
    )
)
class Token(AuthView):
    serializer_class = TokenSerializer
    rate = "10/m"


@extend_schema_view(
    post=extend_schema(
        tags=["auth"],
        operation_id="refresh_token",
        summary="Exchange a refresh token for a new pair",
        description="A refresh token works once: keep the new one.",
        auth=[],
        request=TokenRefreshSerializer,
        responses={200: TokenPairSerializer, **ERRORS},
    )
)
class TokenRefresh(AuthView):
    serializer_class = TokenRefreshSerializer


@extend_schema_view(
    post=extend_schema(
        tags=["auth"],
        operation_id="verify_token",
        summary="Check a token",
        description="200 for an access or refresh token that the gateway accepts, 401 for any other.",
        auth=[],
        request=TokenVerifySerializer,
        responses={200: OpenApiTypes.OBJECT, **ERRORS},
    )
)
class TokenVerify(AuthView):
    serializer_class = TokenVerifySerializer


@extend_schema_view(
    post=extend_schema(
        tags=["auth"],
        operation_id="log_out",
        summary="Log out",
        description="The refresh token is dead from now on. Access tokens run out by themselves, within minutes.",
        auth=[],
        request=LogoutSerializer,
        responses={200: OpenApiTypes.OBJECT, **ERRORS},
    )
)
class Logout(AuthView):
    serializer_class = LogoutSerializer
