import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import Settings
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken

from accounts import tokens
from accounts.models import Tenant, User
from accounts.tests.auth_routes import ROUTES, Post, assert_dead, assert_refused
from accounts.views.tokens import Token
from conftest import PASSWORD

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_cache", "still_clock")]


@pytest.fixture
def pair(alice: User, log_in: Any) -> dict[str, str]:
    """Alice's access and refresh token."""
    tokens: dict[str, str] = log_in().json()
    return tokens


# Logging in -------------------------------------------------------------------------------------------------------


def test_username_and_password_give_an_access_and_a_refresh_token(alice: User, log_in: Any):
    response = log_in()

    assert response.status_code == 200
    assert set(response.json()) == {"access", "refresh"}
    assert tokens.read_access_token(response.json()["access"]).user_id == alice.pk


def test_tokens_are_not_to_be_kept_by_caches(alice: User, log_in: Any):
    assert log_in()["Cache-Control"] == "no-store"


def test_a_wrong_password_and_an_unknown_username_are_refused_alike(alice: User, log_in: Any):
    wrong_password, unknown = log_in(password="guess"), log_in(username="nobody")

    assert assert_dead(wrong_password) == assert_dead(unknown)
    assert wrong_password["WWW-Authenticate"] == "Bearer"


def test_an_inactive_user_gets_no_token(alice: User, log_in: Any):
    alice.is_active = False
    alice.save()

    assert_dead(log_in())


def test_a_user_of_an_inactive_tenant_gets_no_token(alice: User, acme: Tenant, log_in: Any):
    acme.is_active = False
    acme.save()

    assert "belongs to no active tenant" in assert_dead(log_in())


def test_a_user_without_a_tenant_gets_no_token_and_learns_why(quick_passwords: None, log_in: Any):
    User.objects.create_superuser("operator", password=PASSWORD)

    assert "belongs to no active tenant" in assert_dead(log_in(username="operator"))
    assert "belongs to" not in assert_dead(log_in(username="operator", password="guess"))


def test_without_the_database_a_login_is_refused_for_now(monkeypatch: pytest.MonkeyPatch, alice: User, log_in: Any):
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("django.contrib.auth.backends.ModelBackend.authenticate", fail)

    assert_refused(log_in(), 503, "gateway_error", "ledger_unavailable")


# The body ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "route, body, param",
    [
        ("/auth/token", {"username": "alice"}, "password"),
        ("/auth/token", {"password": "x"}, "username"),
        ("/auth/token", {}, "username"),
        ("/auth/token", {"username": ["alice"], "password": "x"}, "username"),
        ("/auth/token", {"username": "a" * 151, "password": "x"}, "username"),
        ("/auth/token/refresh", {}, "refresh"),
        ("/auth/token/refresh", {"refresh": None}, "refresh"),
        ("/auth/token/verify", {"refresh": "x"}, "token"),
        ("/auth/logout", {"refresh": ""}, "refresh"),
    ],
)
def test_a_missing_or_wrong_field_is_named(post: Post, route: str, body: Any, param: str):
    assert_refused(post(route, body), 400, "invalid_request_error", "invalid_request", param)


@pytest.mark.parametrize("body", ["[]", "null", '"text"', "5"])
@pytest.mark.parametrize("route", ROUTES)
def test_a_body_that_is_no_object_is_refused(post: Post, route: str, body: str):
    assert_refused(post(route, body), 400, "invalid_request_error", "invalid_request")


@pytest.mark.parametrize(
    "body", ["{", "{'username': 1}", '{"username": "\\u0000"}', '{"username": "\\ud800"}', "[" * 99]
)
@pytest.mark.parametrize("route", ROUTES)
def test_a_body_that_is_not_json_is_refused(post: Post, route: str, body: str):
    assert_refused(post(route, body), 400, "invalid_request_error", "invalid_json")


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "nonsense", ""])
@pytest.mark.parametrize("route", ROUTES)
def test_a_body_of_another_type_is_refused(route: str, content_type: str):
    response = Client().post(route, "username=alice", content_type=content_type)

    assert_refused(response, 415, "invalid_request_error", "unsupported_media_type")


def test_a_body_over_the_limit_is_refused(settings: Settings, log_in: Any):
    settings.GATEWAY_MAX_BODY_BYTES = 100

    assert_refused(log_in(password="x" * 100), 413, "invalid_request_error", "body_too_large")


def test_a_body_without_a_content_length_is_read(alice: User):
    """As it comes in chunks, or over HTTP/2."""
    body = {"username": "alice", "password": PASSWORD}
    request = RequestFactory().post("/auth/token", body, content_type="application/json")
    del request.META["CONTENT_LENGTH"]

    assert Token.as_view()(request).status_code == 200


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
@pytest.mark.parametrize("route", ROUTES)
def test_other_methods_are_refused(route: str, method: str):
    response = getattr(Client(), method)(route)

    assert_refused(response, 405, "invalid_request_error", "method_not_allowed")
    assert "POST" in response["Allow"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_client_that_wants_no_json_is_told_so(post: Post, route: str):
    assert_refused(post(route, {}, HTTP_ACCEPT="text/html"), 406, "invalid_request_error", "not_acceptable")


# Refreshing -------------------------------------------------------------------------------------------------------


def test_a_refresh_token_gives_a_new_pair(alice: User, pair: dict[str, str], post: Post):
    response = post("/auth/token/refresh", {"refresh": pair["refresh"]})

    assert response.status_code == 200
    assert response.json()["refresh"] != pair["refresh"]
    assert tokens.read_access_token(response.json()["access"]).user_id == alice.pk
    assert post("/auth/token/refresh", {"refresh": response.json()["refresh"]}).status_code == 200


def test_a_refresh_token_works_once(pair: dict[str, str], post: Post):
    post("/auth/token/refresh", {"refresh": pair["refresh"]})

    assert "used already" in assert_dead(post("/auth/token/refresh", {"refresh": pair["refresh"]}))


def test_an_access_token_does_not_refresh(pair: dict[str, str], post: Post):
    assert "refresh token" in assert_dead(post("/auth/token/refresh", {"refresh": pair["access"]}))


def test_an_expired_refresh_token_is_refused(alice: User, post: Post):
    token = tokens.RefreshToken.for_user(alice)
    token.set_exp(from_time=timezone.now() - timedelta(days=30))

    assert "expired" in assert_dead(post("/auth/token/refresh", {"refresh": str(token)}))


def _set_password(alice: User) -> None:
    alice.set_password("another correct horse")
    alice.save()


def _deactivate_user(alice: User) -> None:
    alice.is_active = False
    alice.save()


def _deactivate_tenant(alice: User) -> None:
    assert alice.tenant
    alice.tenant.is_active = False
    alice.tenant.save()


def _delete_user(alice: User) -> None:
    alice.delete()


ENDS = pytest.mark.parametrize("end", [_set_password, _deactivate_user, _deactivate_tenant, _delete_user])


@ENDS
def test_refreshing_fails_once_the_user_may_not_call_or_has_a_new_password(
    alice: User, pair: dict[str, str], post: Post, end: Callable[[User], None]
):
    end(alice)

    assert_dead(post("/auth/token/refresh", {"refresh": pair["refresh"]}))


@pytest.mark.django_db(transaction=True)
def test_of_two_simultaneous_refreshes_one_succeeds(pair: dict[str, str], post: Post, monkeypatch: pytest.MonkeyPatch):
    statuses: list[int] = []
    both_checked = threading.Barrier(2)
    check_blacklist = tokens.RefreshToken.check_blacklist

    def check_and_meet(token: tokens.RefreshToken) -> None:
        check_blacklist(token)
        with suppress(threading.BrokenBarrierError):  # SQLite lets only one at a time get here
            both_checked.wait(timeout=0.5)

    monkeypatch.setattr(tokens.RefreshToken, "check_blacklist", check_and_meet)

    def refresh() -> None:
        statuses.append(post("/auth/token/refresh", {"refresh": pair["refresh"]}).status_code)
        connection.close()

    threads = [threading.Thread(target=refresh) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 401]


def test_the_database_keeps_no_token_that_could_be_used(pair: dict[str, str], post: Post):
    post("/auth/token/refresh", {"refresh": pair["refresh"]})

    assert list(OutstandingToken.objects.values_list("token", flat=True)) == ["", ""]


# Verifying --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["access", "refresh"])
def test_a_good_token_is_verified(pair: dict[str, str], post: Post, kind: str):
    response = post("/auth/token/verify", {"token": pair[kind]})

    assert (response.status_code, response.json()) == (200, {})


@pytest.mark.parametrize("kind", ["access", "refresh"])
@ENDS
def test_verifying_fails_once_the_user_may_not_call_or_has_a_new_password(
    alice: User, pair: dict[str, str], post: Post, end: Callable[[User], None], kind: str
):
    end(alice)

    assert_dead(post("/auth/token/verify", {"token": pair[kind]}))


def test_a_token_signed_by_somebody_else_is_refused(pair: dict[str, str], post: Post):
    head, payload, signature = pair["access"].split(".")
    forged = signature[:-2] + ("AA" if signature[-2:] != "AA" else "BB")

    assert_dead(post("/auth/token/verify", {"token": f"{head}.{payload}.{forged}"}))
    assert_dead(post("/auth/token/verify", {"token": "gw_live_x"}))


def test_a_token_of_another_service_with_the_same_secret_is_refused(post: Post):
    token = AccessToken()
    token["sub"] = "somebody"

    assert "not issued by this gateway" in assert_dead(post("/auth/token/verify", {"token": str(token)}))


# Logging out ------------------------------------------------------------------------------------------------------


def test_after_a_logout_the_refresh_token_is_dead(pair: dict[str, str], post: Post):
    assert post("/auth/logout", {"refresh": pair["refresh"]}).status_code == 200

    assert "logged out" in assert_dead(post("/auth/token/refresh", {"refresh": pair["refresh"]}))
    assert_dead(post("/auth/token/verify", {"token": pair["refresh"]}))
    assert_dead(post("/auth/logout", {"refresh": pair["refresh"]}))


def test_a_logout_ends_no_other_session(pair: dict[str, str], post: Post, log_in: Any):
    other = log_in().json()
    post("/auth/logout", {"refresh": pair["refresh"]})

    assert post("/auth/token/refresh", {"refresh": other["refresh"]}).status_code == 200


def test_a_logout_needs_a_refresh_token(pair: dict[str, str], post: Post):
    assert_dead(post("/auth/logout", {"refresh": pair["access"]}))
    assert_dead(post("/auth/logout", {"refresh": "nonsense"}))
