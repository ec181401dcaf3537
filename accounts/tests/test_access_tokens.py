import base64
import json
import time
from typing import Any

import jwt
import pytest
from django.conf import settings
from hypothesis import given, strategies as st
from pytest_django import DjangoAssertNumQueries

from accounts.errors import InvalidCredential
from accounts.models import User
from accounts.tokens import RefreshToken, password_digest, read_access_token

KEY = str(settings.SIMPLE_JWT["SIGNING_KEY"])


@pytest.fixture
def claims() -> dict[str, Any]:
    """What an access token of user 7 says."""
    now = int(time.time())
    return {
        "token_type": "access",
        "exp": now + 60,
        "iat": now,
        "jti": "0123456789abcdef",
        "user_id": "7",
        "hash_password": "D41D8CD98F00B204E9800998ECF8427E",
    }


def signed(claims: dict[str, Any], key: str = KEY, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key, algorithm=algorithm)


def assert_refused(token: str) -> str:
    with pytest.raises(InvalidCredential) as refusal:
        read_access_token(token)
    return refusal.value.message


def test_a_token_says_whose_it_is_and_until_when(claims: dict[str, Any]):
    read = read_access_token(signed(claims))

    assert (read.user_id, read.password_digest, read.expires_at) == (7, claims["hash_password"], claims["exp"])


def test_a_token_from_the_login_carries_the_digest_of_the_present_password(alice: User):
    token = str(RefreshToken.for_user(alice).access_token)

    assert read_access_token(token).user_id == alice.pk
    assert read_access_token(token).password_digest == password_digest(alice)


def test_a_new_password_changes_the_digest(alice: User):
    before = password_digest(alice)
    alice.set_password("another correct horse")

    assert password_digest(alice) != before


@pytest.mark.django_db
def test_reading_a_token_asks_no_database(claims: dict[str, Any], django_assert_num_queries: DjangoAssertNumQueries):
    token = signed(claims)

    with django_assert_num_queries(0):
        read_access_token(token)


def test_an_expired_token_is_refused_as_expired(claims: dict[str, Any]):
    message = assert_refused(signed({**claims, "exp": time.time() - 1}))

    assert "expired" in message
    assert "/auth/token/refresh" in message


def test_a_refresh_token_is_no_access_token(alice: User):
    assert "type" in assert_refused(str(RefreshToken.for_user(alice)))


@pytest.mark.parametrize("claim", ["token_type", "exp", "jti", "user_id", "hash_password"])
def test_a_token_that_lacks_a_claim_is_refused(claims: dict[str, Any], claim: str):
    del claims[claim]

    assert_refused(signed(claims))


@pytest.mark.parametrize(
    "claim, value",
    [
        ("exp", "tomorrow"),
        ("exp", None),
        ("exp", 10**30),
        ("exp", {}),
        ("iat", "yesterday"),
        ("user_id", "alice"),
        ("user_id", None),
        ("user_id", []),
        ("user_id", ""),
        ("token_type", ["access"]),
    ],
)
def test_a_token_with_a_claim_of_the_wrong_kind_is_refused(claims: dict[str, Any], claim: str, value: Any):
    assert_refused(signed({**claims, claim: value}))


def test_a_token_signed_with_another_key_is_refused(claims: dict[str, Any]):
    assert_refused(signed(claims, key="k" * 64))


def test_a_token_signed_with_another_algorithm_is_refused(claims: dict[str, Any]):
    assert_refused(signed(claims, algorithm="HS512"))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None])
def test_an_unsigned_token_is_refused(claims: dict[str, Any], algorithm: str | None):
    def encoded(part: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")

    head, signature = encoded({"alg": algorithm, "typ": "JWT"}), signed(claims).rpartition(".")[2]

    assert_refused(f"{head}.{encoded(claims)}.")
    assert_refused(f"{head}.{encoded(claims)}.{signature}")


def test_a_changed_token_is_refused(claims: dict[str, Any]):
    head, _, signature = signed(claims).split(".")
    other_payload = signed({**claims, "user_id": "8"}).split(".")[1]

    assert_refused(f"{head}.{other_payload}.{signature}")


@given(token=st.text() | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
def test_garbage_is_refused(token: str):
    assert_refused(token)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "gw_live_x", "\ud800", "é.é.é", "x" * 100_000])
def test_typical_garbage_is_refused(token: str):
    assert "/auth/token" in assert_refused(token)
