"""Authentication on the hot path: verdicts kept in memory, the database asked once per credential and configuration."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping

from django.conf import settings
from django.utils import timezone

from accounts.callers import Caller
from accounts.errors import InvalidCredential, NotPermitted
from accounts.models import APIKey, User
from accounts.models.api_key import is_well_formed
from accounts.networks import within
from accounts.setting import setting
from accounts.sql import health, run_sql
from accounts.tokens import read_access_token

KEY_PREFIX = "gw_"
MOST_VERDICTS = 50_000

UNKNOWN_KEY = (
    "This API key is wrong, expired or revoked. Check it, or ask an administrator of your tenant for a new one."
)
NEITHER = (
    "This is no API key of this gateway (they begin with gw_live_), and no JWT. A provider's key does not work here: "
    "ask an administrator of your tenant for one of the gateway's."
)
NO_CREDENTIAL = "Send an API key: Authorization: Bearer gw_live_… (or x-api-key), or a JWT from POST /auth/token."
MAY_NOT_CALL = (
    "This user may not call the gateway: it is inactive or belongs to no active tenant. Ask an administrator."
)


class Credentials:
    """The verdicts of one web process. `forget` empties them whenever the configuration has changed."""

    def __init__(self) -> None:
        self._verdicts: dict[bytes, asyncio.Future[Caller | None]] = {}
        self._salt = secrets.token_bytes(16)

    def forget(self) -> None:
        self._verdicts = {}

    async def authenticate(self, headers: Mapping[str, str], ip: str) -> Caller:
        """Who shows these headers (Django's, case-insensitive).

        Raises InvalidCredential, NotPermitted for a key outside its networks, PartUnavailable when the database must
        be asked and does not answer.
        """
        authorization, api_key = headers.get("authorization", ""), headers.get("x-api-key")
        if not authorization and api_key is None and settings.GATEWAY_ANONYMOUS:
            return Caller.anonymous(ip)
        credential = api_key or _bearer(authorization)
        if not credential:  # also where one was meant: an empty header, another scheme
            raise InvalidCredential(NO_CREDENTIAL)
        if api_key or credential.startswith(KEY_PREFIX):
            return await self._key(credential, ip)
        if credential.count(".") != 2:  # the three parts of a JWT
            raise InvalidCredential(NEITHER)
        return await self._token(credential)

    async def _key(self, key: str, ip: str) -> Caller:
        name = self._name_of(key)
        caller = self._kept(name)
        if caller is None:
            if name not in self._verdicts and not is_well_formed(key):  # which spares the database a question
                raise InvalidCredential(UNKNOWN_KEY)
            caller = await self._verdict(name, lambda: _caller_of_key(key))
        if caller is None or (caller.expires_at and caller.expires_at <= timezone.now()):
            raise InvalidCredential(UNKNOWN_KEY)
        if caller.allowed_networks and not within(ip, caller.allowed_networks):
            raise NotPermitted(
                "This API key may not be used from your network address. Ask an administrator of your tenant.",
                code="network_not_allowed",
            )
        return caller

    async def _token(self, token: str) -> Caller:
        claims = read_access_token(token)
        caller = await self._verdict(b"user %d" % claims.user_id, lambda: _caller_of_user(claims.user_id))
        if caller is None:
            raise InvalidCredential(MAY_NOT_CALL)
        if claims.password_digest != caller.password_digest:
            raise InvalidCredential("The password was changed after this token was issued. Get a new token.")
        return caller

    def _name_of(self, key: str) -> bytes:
        """Under which a key is known here: kept is what nobody can use, made faster than what the database knows."""
        return hashlib.blake2b(key.encode(), key=self._salt, digest_size=32).digest()

    def _kept(self, name: bytes) -> Caller | None:
        """The verdict that needs no waiting for.

        While the database is away, verdicts stand for GATEWAY_KNOWN_KEYS_S: longer than that nobody knows whether a
        key was revoked.
        """
        future = self._verdicts.get(name)
        if future is None or not future.done() or health.silence_s() > setting("GATEWAY_KNOWN_KEYS_S"):
            return None
        return future.result()

    async def _verdict(self, name: bytes, ask: Callable[[], Caller | None]) -> Caller | None:
        """The kept verdict, or a new one; concurrent callers of a credential that is not known yet share one query."""
        if (caller := self._kept(name)) is not None:
            return caller
        verdicts = self._verdicts
        future = verdicts.get(name)
        if future is None or future.done():
            if len(verdicts) >= MOST_VERDICTS:
                verdicts.clear()
            future = verdicts[name] = asyncio.ensure_future(run_sql(ask))
            future.add_done_callback(lambda done: _keep_only_callers(verdicts, name, done))
        return await asyncio.shield(future)


def _keep_only_callers(
    verdicts: dict[bytes, asyncio.Future[Caller | None]], name: bytes, done: asyncio.Future[Caller | None]
) -> None:
    """Nothing negative is kept: a key made a moment later must work at once."""
    if done.cancelled() or done.exception() or done.result() is None:
        verdicts.pop(name, None)


def _bearer(authorization: str) -> str:
    scheme, _, credential = authorization.partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def _caller_of_key(key: str) -> Caller | None:
    row = APIKey.objects.for_key(key)
    return Caller.from_key(row) if row else None


def _caller_of_user(user_id: int) -> Caller | None:
    user = User.objects.select_related("tenant").filter(pk=user_id).first()
    return Caller.from_user(user) if user else None
