from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from redis.exceptions import ConnectionError as RedisConnectionError

from accounts.models import Tenant, User
from accounts.tests.admin_pages import make_operator, signed_in, text_of
from conftest import PASSWORD

LOGIN = "/admin/login/"


def sign_in(username: str, password: str = PASSWORD, client: Client | None = None) -> Any:
    return (client or Client()).post(f"{LOGIN}?next=/admin/", {"username": username, "password": password})


def test_an_operator_gets_in(quick_passwords, db):
    make_operator()
    assert sign_in("olga").url == reverse("admin:index")


def test_the_sign_in_page_leads_into_the_admin(client, db):
    assert 'action="/admin/login/?next=%2Fadmin%2F"' in text_of(client.get(LOGIN))


def test_a_tenant_administrator_gets_in(bob):
    assert sign_in("bob").url == reverse("admin:index")


def test_a_member_does_not_get_in(alice):
    response = sign_in("alice")
    assert response.status_code == 200
    assert "sessionid" not in response.cookies


def test_staff_without_a_role_is_told_that_the_password_is_not_the_problem(alice):
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    assert "Only operators and tenant administrators" in text_of(sign_in("alice"))


def test_the_administrator_of_a_switched_off_tenant_does_not_get_in(bob, acme):
    Tenant.objects.filter(pk=acme.pk).update(is_active=False)
    assert "Only operators and tenant administrators" in text_of(sign_in("bob"))


def test_switching_a_tenant_off_ends_the_sessions_of_its_administrators(bob, acme):
    client = signed_in(bob)
    assert client.get("/admin/").status_code == 200
    Tenant.objects.filter(pk=acme.pk).update(is_active=False)
    assert client.get("/admin/")["Location"].startswith(LOGIN)


def test_a_wrong_password_is_an_error_on_the_form(bob):
    assert "Please enter the correct username and password" in text_of(sign_in("bob", "wrong"))


def test_after_ten_guesses_at_a_username_the_page_says_to_wait(bob, own_cache, still_clock: SimpleNamespace):
    for _ in range(10):
        assert sign_in("bob", "wrong").status_code == 200
    refused = sign_in("bob", "wrong")
    assert refused.status_code == 429
    assert int(refused["Retry-After"]) <= 60
    assert "Too many attempts" in text_of(refused)
    assert sign_in("bob").status_code == 429, "the right password must not tell that it is right"


def test_a_minute_later_the_right_password_works_again(bob, own_cache, still_clock: SimpleNamespace):
    for _ in range(11):
        sign_in("bob", "wrong")
    still_clock.now += 61
    assert sign_in("bob").url == reverse("admin:index")


def test_many_usernames_from_one_address_are_limited_together(bob, own_cache, still_clock: SimpleNamespace):
    statuses = [sign_in(f"user{number}", "wrong").status_code for number in range(61)]
    assert statuses[:60] == [200] * 60
    assert statuses[60] == 429


def test_looking_at_the_sign_in_page_is_not_an_attempt(bob, own_cache, still_clock: SimpleNamespace):
    client = Client()
    assert {client.get(LOGIN).status_code for _ in range(70)} == {200}
    assert sign_in("bob").status_code == 302


def test_where_attempts_cannot_be_counted_there_are_none(bob, monkeypatch: pytest.MonkeyPatch):
    def no_redis(*args: Any, **kwargs: Any) -> None:
        raise RedisConnectionError("Redis is down")

    monkeypatch.setattr("accounts.attempts.get_usage", no_redis)
    refused = sign_in("bob")
    assert refused.status_code == 503
    assert "Try again in a moment" in text_of(refused)


def test_a_form_of_another_site_cannot_sign_in(bob):
    assert sign_in("bob", client=Client(enforce_csrf_checks=True)).status_code == 403


@pytest.mark.parametrize(("text", "seen"), [("key", True), ("user", True), ("provider", False), ("letter", False)])
def test_the_search_for_pages_finds_only_what_the_role_may_open(bob, text: str, seen: bool):
    response = signed_in(bob).get("/admin/search/", {"s": text, "extended": "1"})
    assert ("No results" not in text_of(response)) is seen


def test_an_empty_search_finds_nothing(bob):
    assert signed_in(bob).get("/admin/search/").content == b""


def test_django_groups_and_token_tables_have_no_pages(quick_passwords, db):
    client = signed_in(make_operator())
    for path in ("/admin/auth/group/", "/admin/token_blacklist/outstandingtoken/"):
        assert client.get(path).status_code == 404
