"""JSON web tokens: simplejwt's, with the rules that it leaves open.

A token dies with its user's password (the claim `hash_password` is a digest of the stored password hash), with its user
and with the tenant. A refresh token works once. The database knows a refresh token by its id only: a copy of the tables
is not a bunch of working tokens.
"""

from dataclasses import dataclass
from typing import Self, TypeVar

from rest_framework_simplejwt import tokens as simplejwt
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.utils import datetime_from_epoch, get_md5_hash_password

from accounts.errors import InvalidCredential
from accounts.models import User

AnyToken = TypeVar("AnyToken", bound=simplejwt.Token)

SEND_ACCESS = "Send an access token from POST /auth/token, or a new one from POST /auth/token/refresh."
SEND_REFRESH = "Send the newest refresh token that you were given, or log in again with POST /auth/token."

NOT_OURS = "This token was not issued by this gateway."
# What simplejwt lets through for texts that are no UTF-8, and for claims that it would not write itself.
STRANGE = (KeyError, TypeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified token says. `expires_at` is a Unix time in seconds."""

    user_id: int
    password_digest: str
    expires_at: float


class RefreshToken(simplejwt.RefreshToken):
    """simplejwt's refresh token, of which the database keeps only the id."""

    @classmethod
    def for_user(cls, user: User) -> Self:  # type: ignore[override]  # simplejwt's type variable admits no subclass
        token = super(simplejwt.BlacklistMixin, cls).for_user(user)  # past the mixin, which would store the whole token
        token.outstand()
        return token

    def outstand(self) -> OutstandingToken:
        """The token's row, made if it has none yet."""
        row, _ = OutstandingToken.objects.get_or_create(
            jti=self[api_settings.JTI_CLAIM],
            defaults={
                "user_id": claims_of(self).user_id,
                "token": "",
                "created_at": self.current_time,
                "expires_at": datetime_from_epoch(self["exp"]),
            },
        )
        return row

    def check_blacklist(self) -> None:
        if BlacklistedToken.objects.filter(token__jti=self.get(api_settings.JTI_CLAIM)).exists():
            raise TokenError("This refresh token was used already, or logged out")

    def revoke(self) -> bool:
        """Never accept it again. Of simultaneous calls exactly one gets True."""
        _, is_first = BlacklistedToken.objects.get_or_create(token=self.outstand())
        return is_first


def read_access_token(token: str) -> AccessClaims:
    """The claims of an access token: signature, algorithm, expiry, type and id checked, the database not asked.

    Raises InvalidCredential. The caller compares `password_digest` with the user's.
    """
    return claims_of(open_token(simplejwt.AccessToken, token, SEND_ACCESS))


def password_digest(user: User) -> str:
    """What the tokens issued since the user's last change of password carry."""
    return get_md5_hash_password(user.password)


def open_token(kind: type[AnyToken], token: str, advice: str) -> AnyToken:
    """The verified token of one kind; raises InvalidCredential, whose message ends with the advice."""
    try:
        return kind(token)  # type: ignore[arg-type]  # simplejwt's own code passes a text, too
    except ExpiredTokenError as error:
        raise InvalidCredential(f"This token has expired. {advice}") from error
    except TokenError as error:
        raise InvalidCredential(f"{error}. {advice}") from error
    except STRANGE as error:
        raise InvalidCredential(f"{NOT_OURS} {advice}") from error


def claims_of(token: simplejwt.Token) -> AccessClaims:
    """Raises InvalidCredential for a token that was signed with our key, but not by us."""
    try:
        return AccessClaims(
            user_id=int(token[api_settings.USER_ID_CLAIM]),
            password_digest=str(token[api_settings.REVOKE_TOKEN_CLAIM]),
            expires_at=float(token["exp"]),
        )
    except STRANGE as error:
        raise InvalidCredential(f"{NOT_OURS} {SEND_ACCESS}") from error


def holder_of(token: simplejwt.Token) -> User:
    """The user whom the token was issued to; raises InvalidCredential if it is theirs no longer."""
    claims = claims_of(token)
    user: User | None = User.objects.select_related("tenant").filter(pk=claims.user_id).first()
    if user is None or not user.may_call:
        raise InvalidCredential("The user of this token may not call the gateway any more. Ask an administrator.")
    if claims.password_digest != password_digest(user):
        raise InvalidCredential(
            "The password was changed after this token was issued. Log in again with POST /auth/token."
        )
    return user
