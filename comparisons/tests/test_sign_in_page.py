"""The sign-in of members, and who gets to the pages behind it."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.utils.http import urlencode
from redis.exceptions import ConnectionError as RedisConnectionError

from accounts.models import Tenant, User
from accounts.tests.admin_pages import make_operator, signed_in, text_of
from conftest import PASSWORD, Cast

SIGN_IN = "/sign-in/"
PAGES = ["/comparisons/", "/playground/"]


def sign_in(username: str, password: str = PASSWORD, client: Client | None = None, **more: str) -> Any:
    return (client or Client()).post(SIGN_IN, {"username": username, "password": password, **more})


@pytest.mark.parametrize("page", PAGES)
def test_a_page_leads_to_the_sign_in_and_back(cast: Cast, page: str):
    client = Client()
    there = client.get(page)["Location"]
    assert there == f"{SIGN_IN}?next={page}"
    assert f'name="next" value="{page}"' in text_of(client.get(there))
    assert sign_in("alice", client=client, next=page).url == page
    assert client.get(page).status_code == 200


def test_without_a_wish_the_way_leads_to_the_history(cast: Cast):
    assert sign_in("alice").url == "/comparisons/"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"]
)
def test_nobody_is_sent_to_another_site(cast: Cast, elsewhere: str):
    assert sign_in("alice", next=elsewhere).url == "/comparisons/"
    assert signed_in(cast.alice.user).get(SIGN_IN, {"next": elsewhere})["Location"] == "/comparisons/"


def test_a_wrong_password_is_an_error_on_the_form(cast: Cast):
    refused = sign_in("alice", "wrong")
    assert "Username or password is wrong" in text_of(refused)
    assert "sessionid" not in refused.cookies


def test_signing_out_ends_the_session(cast: Cast):
    client = signed_in(cast.alice.user)
    assert client.get("/sign-out/").status_code == 405, "a picture's address must not sign anybody out"
    assert client.post("/sign-out/")["Location"] == SIGN_IN
    assert client.get("/comparisons/")["Location"].startswith(SIGN_IN)


def test_who_signs_out_to_come_back_as_another_is_led_back(cast: Cast):
    wanted = {"next": "/playground/?models=demo&prompt=Hi"}
    assert signed_in(cast.alice.user).post("/sign-out/", wanted)["Location"] == f"{SIGN_IN}?{urlencode(wanted)}"
    elsewhere = signed_in(cast.alice.user).post("/sign-out/", {"next": "https://evil.example/"})
    assert "evil" not in elsewhere["Location"]


def test_a_form_of_another_site_cannot_sign_in(cast: Cast):
    refused = sign_in("alice", client=Client(enforce_csrf_checks=True, headers={"accept": "text/html"}))
    assert refused.status_code == 403
    assert "Go back, reload the page" in text_of(refused)
    assert "sessionid" not in refused.cookies
    assert sign_in("alice", client=Client(enforce_csrf_checks=True)).json()["error"]["code"] == "csrf_failed"


@pytest.mark.parametrize("place", ["/comparisons/none", "/nowhere/", SIGN_IN])
def test_pages_that_refuse_may_run_and_load_nothing(cast: Cast, place: str):
    browser = Client(enforce_csrf_checks=True, headers={"accept": "text/html"})
    browser.force_login(cast.alice.user)
    refused = browser.post(place) if place == SIGN_IN else browser.get(place)
    assert refused.status_code in {403, 404}
    assert "default-src 'none'" in refused["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in refused["Content-Security-Policy"]


def test_after_ten_guesses_at_a_username_the_page_says_to_wait(
    cast: Cast,
    own_cache: None,
    still_clock: SimpleNamespace,
):
    for _ in range(10):
        assert sign_in("alice", "wrong").status_code == 200
    refused = sign_in("alice")
    assert refused.status_code == 429, "the right password must not tell that it is right"
    assert int(refused["Retry-After"]) <= 60
    assert "Too many attempts" in text_of(refused)
    still_clock.now += 61
    assert sign_in("alice").url == "/comparisons/"


def test_many_usernames_from_one_address_are_limited_together(
    cast: Cast,
    own_cache: None,
    still_clock: SimpleNamespace,
):
    statuses = [sign_in(f"user{number}", "wrong").status_code for number in range(61)]
    assert statuses == [200] * 60 + [429]


def test_where_attempts_cannot_be_counted_there_are_none(cast: Cast, monkeypatch: pytest.MonkeyPatch):
    def no_redis(*args: Any, **kwargs: Any) -> None:
        raise RedisConnectionError("Redis is down")

    monkeypatch.setattr("accounts.attempts.get_usage", no_redis)
    refused = sign_in("alice")
    assert refused.status_code == 503
    assert "Try again in a moment" in text_of(refused)


@pytest.mark.parametrize("page", PAGES)
def test_an_operator_is_told_what_to_do(db: None, page: str):
    answer = signed_in(make_operator()).get(page)
    assert answer.status_code == 403
    assert "These pages belong to a tenant" in text_of(answer)


@pytest.mark.parametrize("page", PAGES)
def test_members_of_a_switched_off_tenant_are_told_so(cast: Cast, page: str):
    client = signed_in(cast.alice.user)
    Tenant.objects.filter(pk=cast.acme.pk).update(is_active=False)
    answer = client.get(page)
    assert answer.status_code == 403
    assert "Your tenant is switched off" in text_of(answer)


def test_a_user_without_a_tenant_is_told_so(cast: Cast):
    client = signed_in(cast.alice.user)
    User.objects.filter(pk=cast.alice.user.pk).update(tenant=None)
    assert "You have no tenant yet" in text_of(client.get("/comparisons/"))


def test_where_the_session_has_ended_a_partial_update_becomes_the_sign_in_page(cast: Cast):
    answer = Client().get(
        "/comparisons/", headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/playground/"}
    )
    assert answer["HX-Redirect"] == f"{SIGN_IN}?next=/playground/"


@pytest.mark.parametrize("page", [*PAGES, SIGN_IN])
def test_browsers_may_load_and_run_nothing_but_our_own_files(cast: Cast, page: str):
    client = Client() if page == SIGN_IN else signed_in(cast.alice.user)
    answer = client.get(page)
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "no-store" in answer["Cache-Control"]
    text = text_of(answer)
    assert "<style" not in text
    assert " style=" not in text
    assert "<script>" not in text
