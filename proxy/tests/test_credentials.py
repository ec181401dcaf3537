"""Who gets in on the API: every form of a credential, and every way to be wrong."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from accounts.models import APIKey, Tenant, User
from accounts.models.api_key import generate_key
from accounts.tokens import RefreshToken
from conftest import PASSWORD, wait_until
from proxy.tests.conftest import Site
from proxy.tests.fake_provider import text
from proxy.tests.wire import assert_refused

Headers = dict[str, str]
SIGNING_KEY = str(django_settings.SIMPLE_JWT["SIGNING_KEY"])


def models(site: Site, headers: Any) -> httpx.Response:
    return site.http.get("/v1/models", headers=headers)


def chat(site: Site, headers: Any, model: str = "fake/one", **fields: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], **fields}
    return site.http.post("/v1/chat/completions", json=body, headers=headers)


def assert_accepted(site: Site, headers: Headers) -> None:
    assert (models(site, headers).status_code, chat(site, headers).status_code) == (200, 200)


def assert_rejected(site: Site, headers: Any) -> None:
    """401 on every route, saying nothing of the credential."""
    for response in (models(site, headers), chat(site, headers), site.http.get("/v1/models/fake/one", headers=headers)):
        error = assert_refused(response, 401, "authentication_error", "invalid_api_key")
        assert response.headers["www-authenticate"] == "Bearer"
        sent = [value.decode("latin-1") if isinstance(value, bytes) else value for value in headers.values()]
        assert not any(word in error["message"] for value in sent for word in value.split() if len(word) > 10)
    assert site.provider.received == []


def bearer(credential: str) -> Headers:
    return {"Authorization": f"Bearer {credential}"}


@pytest.fixture
def dora(site: Site) -> User:
    """A user of acme for one test, which may do anything to her."""
    user: User = User.objects.create_user(f"dora-{time.time_ns()}", password=PASSWORD, tenant=site.cast.acme)
    return user


def access_token(user: User, **claims: Any) -> str:
    token = RefreshToken.for_user(user).access_token
    token.payload.update(claims)
    return str(token)


def key_of(user: User, **fields: Any) -> str:
    return APIKey.issue(user, "test", **fields)[1]


FORMS: dict[str, Callable[[str], Headers]] = {
    "Bearer": lambda key: {"Authorization": f"Bearer {key}"},
    "bearer in small letters": lambda key: {"authorization": f"bearer {key}"},
    "more blanks than one": lambda key: {"Authorization": f"Bearer   {key}"},
    "x-api-key": lambda key: {"x-api-key": key},
    "both": lambda key: {"x-api-key": key, "Authorization": f"Bearer {key}"},
    "x-api-key beside somebody else's key": lambda key: {"x-api-key": key, "Authorization": "Bearer sk-other"},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_key_is_accepted_as(form: Callable[[str], Headers], site: Site):
    assert_accepted(site, form(site.cast.alice.key))


def test_a_token_from_the_login_is_accepted(site: Site, dora: User):
    login = site.http.post("/auth/token", json={"username": dora.username, "password": PASSWORD})
    assert_accepted(site, bearer(login.json()["access"]))


KEYS: dict[str, Callable[[str], Any]] = {
    "an empty Bearer": lambda key: {"Authorization": "Bearer"},
    "an empty x-api-key": lambda key: {"x-api-key": ""},
    "the key without a scheme": lambda key: {"Authorization": key},
    "another scheme": lambda key: {"Authorization": "Basic " + base64.b64encode(f"alice:{key}".encode()).decode()},
    "the first half": lambda key: bearer(key[:22]),
    "all but the last letter": lambda key: bearer(key[:-1]),
    "one letter more": lambda key: bearer(key + "0"),
    "a wrong checksum": lambda key: bearer(key[:-1] + ("0" if key[-1] != "0" else "1")),
    "another letter case": lambda key: bearer(key.swapcase()),
    "another prefix": lambda key: bearer(key.replace("gw_live_", "gw_test_")),
    "in quotes": lambda key: bearer(f'"{key}"'),
    "twice": lambda key: bearer(f"{key},{key}"),
    "a well-formed key that nobody was given": lambda key: bearer(generate_key()),
    "another service's key": lambda key: bearer("sk-proj-abcdefghijklmnopqrstuvwxyz"),
    "letters beyond ASCII": lambda key: {"Authorization": b"Bearer gw_live_\xe9\xff\xfe"},
    "100 kB": lambda key: bearer("gw_live_" + "x" * 100_000),
    "a wrong x-api-key beside the right Bearer": lambda key: {"x-api-key": "gw_live_wrong", **bearer(key)},
}


@pytest.mark.parametrize("form", KEYS.values(), ids=KEYS.keys())
def test_no_key_is(form: Callable[[str], Any], site: Site):
    assert_rejected(site, form(site.cast.alice.key))


def test_an_expired_key_is_refused(site: Site, dora: User):
    assert_rejected(site, bearer(key_of(dora, expires_at=timezone.now() - timedelta(seconds=1))))


def test_a_key_expires_while_it_is_in_use(site: Site, dora: User):
    headers = bearer(key_of(dora, expires_at=timezone.now() + timedelta(seconds=0.5)))
    assert models(site, headers).status_code == 200
    wait_until(lambda: models(site, headers).status_code == 401, "the key to expire")


def _forged(payload: dict[str, Any], header: dict[str, str], signature: str = "") -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, payload)]
    return ".".join([*parts, signature])


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


TOKENS: dict[str, Callable[[User], str]] = {
    "that has expired": lambda user: access_token(user, exp=int(time.time()) - 1),
    "that never expires": lambda user: jwt.encode(
        {name: value for name, value in _claims(access_token(user)).items() if name != "exp"}, SIGNING_KEY, "HS256"
    ),
    "for refreshing": lambda user: str(RefreshToken.for_user(user)),
    "without an algorithm": lambda user: _forged(_claims(access_token(user)), {"alg": "none", "typ": "JWT"}),
    "without an algorithm, oddly written": lambda user: _forged(_claims(access_token(user)), {"alg": "nOnE"}),
    "with another user's id": lambda user: _with_payload(access_token(user), user_id=str(user.pk + 1)),
    "with a later end": lambda user: _with_payload(access_token(user), exp=2_000_000_000),
    "signed with another secret": lambda user: jwt.encode(_claims(access_token(user)), "x" * 64, "HS256"),
    "signed with an empty secret": lambda user: _signed_with_nothing(access_token(user)),
    "without its signature": lambda user: access_token(user).rpartition(".")[0] + ".",
    "cut short": lambda user: access_token(user)[:-5],
    "of two parts": lambda user: access_token(user).rpartition(".")[0],
    "of no user": lambda user: access_token(user, user_id="0"),
    "of a user called true": lambda user: access_token(user, user_id=True, hash_password=None),
    "of a user beyond the database": lambda user: access_token(user, user_id=str(2**70)),
    "in JSON": lambda user: json.dumps({"access": access_token(user)}),
    "for an old password": lambda user: access_token(user, hash_password="0" * 32),
}


def _with_payload(token: str, **claims: Any) -> str:
    """The same signature over other claims."""
    forged = _forged({**_claims(token), **claims}, {"alg": "HS256", "typ": "JWT"})
    return forged + token.rpartition(".")[2]


def _signed_with_nothing(token: str) -> str:
    signed = token.rpartition(".")[0]
    signature = hmac.digest(b"", signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS.keys())
@pytest.mark.filterwarnings("ignore:The HMAC key is")
def test_no_credential_is_a_token(token: Callable[[User], str], site: Site, dora: User):
    assert_rejected(site, bearer(token(dora)))


def test_a_token_is_no_api_key(site: Site, dora: User):
    assert_rejected(site, {"x-api-key": access_token(dora)})


def _deactivate(user: User) -> None:
    user.is_active = False
    user.save()


def _leave_the_tenant(user: User) -> None:
    user.tenant = None
    user.save()


def _close_the_tenant(user: User) -> None:
    user.tenant = Tenant.objects.create(name=f"closed-{user.pk}", is_active=False)
    user.save()


FALLS: dict[str, Callable[[User], object]] = {
    "deleted": lambda user: user.delete(),
    "deactivated": _deactivate,
    "without a tenant": _leave_the_tenant,
    "of an inactive tenant": _close_the_tenant,
}


@pytest.mark.parametrize("fall", FALLS.values(), ids=FALLS.keys())
def test_key_and_token_end_with_a_user_who_is(fall: Callable[[User], object], site: Site, dora: User):
    key, token = bearer(key_of(dora)), bearer(access_token(dora))
    assert_accepted(site, key)
    assert_accepted(site, token)
    site.provider.received.clear()
    fall(dora)
    assert_rejected(site, key)
    assert_rejected(site, token)


def test_a_new_password_ends_the_tokens_but_not_the_keys(site: Site, dora: User):
    key, token = bearer(key_of(dora)), bearer(access_token(dora))
    assert models(site, token).status_code == 200
    dora.set_password("another correct horse")
    dora.save()
    assert_rejected(site, token)
    assert_accepted(site, key)
    assert_accepted(site, bearer(access_token(dora)))


NETWORKS: dict[str, tuple[list[str], str, int]] = {
    "its own address": ([], "", 403),
    "an address that it claims": ([], "203.0.113.9", 403),
    "an address that a trusted proxy saw": (["127.0.0.1"], "203.0.113.9", 200),
    "an address that a trusted proxy did not see": (["127.0.0.1"], "203.0.113.9, 198.51.100.1", 403),
    "an address that two trusted proxies saw": (["127.0.0.0/8", "10.0.0.0/8"], "203.0.113.9, 10.1.2.3", 200),
    "IPv4 within IPv6": (["127.0.0.1"], "::ffff:203.0.113.9", 200),
    "an address with a port": (["127.0.0.1"], "203.0.113.9:4711", 200),
    "garbage": (["127.0.0.1"], "203.0.113.9, '", 403),
}


@pytest.mark.parametrize("trusted, forwarded, status", NETWORKS.values(), ids=NETWORKS.keys())
def test_a_key_for_one_network_is_used_from(
    trusted: list[str], forwarded: str, status: int, site: Site, dora: User, settings: Any
):
    settings.GATEWAY_TRUSTED_PROXIES = trusted
    key = key_of(dora, allowed_networks=["203.0.113.0/24"])
    for ask in (models, chat):
        response = ask(site, {**bearer(key), "X-Forwarded-For": forwarded})
        assert response.status_code == status
        if status == 403:
            assert_refused(response, 403, "permission_error", "network_not_allowed")


def test_a_verdict_belongs_to_its_network_too(site: Site, dora: User, settings: Any):
    """One key from two addresses: the first answer says nothing about the second."""
    settings.GATEWAY_TRUSTED_PROXIES = ["127.0.0.1"]
    key = bearer(key_of(dora, allowed_networks=["203.0.113.0/24"]))
    seen = [models(site, {**key, "X-Forwarded-For": ip}).status_code for ip in ("203.0.113.9", "192.0.2.1") * 2]
    assert seen == [200, 403, 200, 403]


def test_what_belongs_to_another_tenant_does_not_exist(site: Site):
    theirs = site.catalogue.model("fake/theirs")
    theirs.tenants.add(site.cast.globex)
    chain = site.catalogue.chain("their-chain", theirs)
    chain.tenants.add(site.cast.globex)
    site.provider.on("theirs", text("Hello"))
    alice, charlie = site.cast.alice.headers, site.cast.charlie.headers
    for name in ("fake/theirs", "their-chain", "theirs"):
        assert_refused(chat(site, alice, name), 404, "invalid_request_error", "model_not_found", "model")
        assert_refused(chat(site, alice, models=[name]), 404, "invalid_request_error", "model_not_found", "model")
        assert chat(site, charlie, name).status_code == 200
    assert site.http.get("/v1/models/their-chain", headers=alice).status_code == 404
    assert site.http.get("/v1/models/their-chain", headers=charlie).status_code == 200


def test_a_keys_list_is_all_that_it_may_use(site: Site, dora: User):
    site.catalogue.chain("narrow", site.catalogue.model("fake/inside"))
    site.provider.on("inside", text("Hello"))
    key = bearer(key_of(dora, allowed_models=["narrow"]))
    assert chat(site, key, "narrow").status_code == 200
    for name in ("fake/one", "one", "fake/inside"):
        assert_refused(chat(site, key, name), 403, "permission_error", "model_not_allowed", "model")
        further = chat(site, key, "narrow", fallbacks=[name])
        assert_refused(further, 403, "permission_error", "model_not_allowed", "model")
    assert [model["id"] for model in models(site, key).json()["data"]] == ["narrow"]
    assert site.http.get("/v1/models/fake/one", headers=key).status_code == 403


def test_callers_at_the_same_time_see_their_own(site: Site, dora: User):
    site.catalogue.chain("mine", site.catalogue.model("fake/mine"))
    narrow, wide = bearer(key_of(dora, allowed_models=["mine"])), bearer(key_of(dora))

    def seen_by(key: Headers) -> set[str]:
        return {model["id"] for model in models(site, key).json()["data"]}

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(seen_by, [narrow, wide] * 50))
    assert all(ids == {"mine"} for ids in seen[::2])
    assert all({"mine", "fake/one"} <= ids for ids in seen[1::2])


@pytest.mark.parametrize("credential", ["sk-proj-of-a-provider", "letters-without-meaning"])
def test_what_is_neither_a_key_nor_a_token_is_called_so(credential: str, site: Site):
    error = models(site, bearer(credential)).json()["error"]
    assert "they begin with gw_live_" in error["message"]
    assert_rejected(site, bearer(credential))
