"""Bodies of the /auth/* routes, and the error envelope of all routes for the OpenAPI schema."""

from typing import Any, ClassVar

from django.db import transaction
from rest_framework import serializers
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.tokens import AccessToken, UntypedToken

from accounts.attempts import limit_username, remember_address
from accounts.errors import InvalidCredential
from accounts.models import User
from accounts.tokens import SEND_ACCESS, SEND_REFRESH, RefreshToken, holder_of, open_token

LONGEST_USERNAME = 150


class TokenSerializer(TokenObtainPairSerializer):
    """Username and password in, access and refresh token out."""

    token_class = RefreshToken
    default_error_messages: ClassVar[dict[str, Any]] = {
        "no_active_account": "The username or the password is wrong, or the user is inactive. "
        "Check them, or ask an administrator of your tenant.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"] = serializers.CharField(max_length=LONGEST_USERNAME, write_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        request = self.context["request"]
        limit_username(request, attrs["username"])
        tokens = super().validate(attrs)
        remember_address(request, attrs["username"])
        return tokens

    @classmethod
    def get_token(cls, user: User) -> RefreshToken:  # type: ignore[override]  # simplejwt's type variable is unbound here
        if not user.may_call:
            raise InvalidCredential(
                "This user belongs to no active tenant, so it gets no token. Ask an administrator to change that."
            )
        return RefreshToken.for_user(user)


class TokenRefreshSerializer(serializers.Serializer[Any]):
    """A refresh token in, a new pair out; the old refresh token is dead from then on."""

    refresh = serializers.CharField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        with transaction.atomic():
            token = open_token(RefreshToken, attrs["refresh"], SEND_REFRESH)
            holder_of(token)
            if not token.revoke():
                raise InvalidCredential(f"This refresh token was used already. {SEND_REFRESH}")
            token.set_jti()
            token.set_exp()
            token.set_iat()
            token.outstand()
        return {"access": str(token.access_token), "refresh": str(token)}


class TokenVerifySerializer(serializers.Serializer[Any]):
    """An access or refresh token that would be accepted."""

    token = serializers.CharField(write_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        token = attrs["token"]
        claimed = open_token(UntypedToken, token, SEND_ACCESS).get("token_type")
        holder_of(open_token(RefreshToken if claimed == RefreshToken.token_type else AccessToken, token, SEND_ACCESS))
        return {}


class LogoutSerializer(serializers.Serializer[Any]):
    """The refresh token that shall not work any more."""

    refresh = serializers.CharField(write_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        open_token(RefreshToken, attrs["refresh"], SEND_REFRESH).revoke()
        return {}


class TokenPairSerializer(serializers.Serializer[Any]):
    access = serializers.CharField(help_text="Send it as `Authorization: Bearer …`. Valid for minutes.")
    refresh = serializers.CharField(help_text="Exchange it for a new pair. Works once. Valid for days.")


class ErrorSerializer(serializers.Serializer[Any]):
    message = serializers.CharField(help_text="What happened and what to do next.")
    type = serializers.CharField()
    param = serializers.CharField(allow_null=True, help_text="The field that the error is about.")
    code = serializers.CharField(allow_null=True)
    request_id = serializers.CharField(allow_blank=True, help_text="The same as the header x-request-id.")


class ErrorEnvelopeSerializer(serializers.Serializer[Any]):
    error = ErrorSerializer()
