import re
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from accounts.models import APIKey, ConfigurationVersion, User
from accounts.models.api_key import digest, is_well_formed
from accounts.tests.admin_pages import act, make_operator, page, signed_in, text_of

ISSUED = "/admin/accounts/apikey/issued/"


@pytest.fixture
def operator(quick_passwords, db) -> Client:
    return signed_in(make_operator())


@pytest.fixture
def administrator(bob) -> Client:
    return signed_in(bob)


def keys_in(text: str) -> set[str]:
    return {key for key in re.findall(r"gw_live_\w+", text) if is_well_formed(key)}


FORM = {"name": "billing", "comparing": "allowed"}


def issue(client: Client, user: User, **fields: object) -> str:
    response = client.post(page(APIKey, "add"), {**FORM, "user": str(user.pk), **fields}, follow=True)
    return text_of(response)


def test_a_new_key_is_shown_once_and_works(operator, alice):
    (key,) = keys_in(issue(operator, alice))
    row = APIKey.objects.for_key(key)
    assert row is not None
    assert (row.user, row.name, row.is_usable) == (alice, "billing", True)
    assert not keys_in(text_of(operator.get(ISSUED)))


def test_a_new_key_stands_nowhere_in_clear(operator, alice):
    operator.post(page(APIKey, "add"), {**FORM, "user": str(alice.pk)})
    sessions = [session.get_decoded() for session in Session.objects.all()]
    (key,) = keys_in(text_of(operator.get(ISSUED)))
    assert key not in str(sessions)
    assert key not in str(list(APIKey.objects.values()))


def test_the_page_of_a_new_key_is_kept_by_no_cache(operator, alice):
    operator.post(page(APIKey, "add"), {**FORM, "user": str(alice.pk)})
    assert "no-store" in operator.get(ISSUED)["Cache-Control"]


def test_the_page_of_a_new_key_shows_calls_to_paste(operator, alice):
    text = issue(operator, alice)
    (key,) = keys_in(text)
    assert f"Authorization: Bearer {key}" in text.replace("&#x27;", "'")
    assert "from openai import OpenAI" in text
    assert "http://testserver/v1" in text


def test_the_page_of_an_old_key_shows_the_calls_without_it(operator, alice):
    row = alice.api_keys.get()
    text = text_of(operator.get(page(APIKey, "change", row.pk)))
    assert "YOUR_API_KEY" in text
    assert row.masked in text
    assert row.digest not in text
    assert not keys_in(text)


def test_a_key_cannot_be_issued_for_somebody_without_a_tenant(operator):
    assert "belongs to no tenant" in issue(operator, User.objects.get(username="olga"))


def test_a_key_stays_with_its_user(operator, alice, bob):
    row = alice.api_keys.get()
    operator.post(page(APIKey, "change", row.pk), {**FORM, "name": "renamed", "user": str(bob.pk)})
    row.refresh_from_db()
    assert (row.name, row.user) == ("renamed", alice)


def test_networks_are_written_one_in_a_line(operator, alice):
    issue(operator, alice, allowed_networks="10.0.0.0/8\n 2001:db8::/32 ")
    assert APIKey.objects.get(name="billing").allowed_networks == ["10.0.0.0/8", "2001:db8::/32"]


def test_a_wrong_network_is_named(operator, alice):
    assert "10.0.0.0/99" in issue(operator, alice, allowed_networks="10.0.0.0/99")
    assert not APIKey.objects.filter(name="billing").exists()


def test_saving_a_key_keeps_what_the_form_shows(operator, alice):
    row = alice.api_keys.get()
    row.allowed_models, row.allowed_networks = ["gone/model"], ["10.0.0.0/8"]
    row.save()
    url = page(APIKey, "change", row.pk)
    assert "No longer offered" in text_of(operator.get(url))
    operator.post(url, {**FORM, "name": "renamed", "allowed_models": ["gone/model"], "allowed_networks": "10.0.0.0/8"})
    row.refresh_from_db()
    assert (row.name, row.allowed_models, row.allowed_networks) == ("renamed", ["gone/model"], ["10.0.0.0/8"])


def test_revoking_asks_first(operator, alice):
    row = alice.api_keys.get()
    assert "cannot be undone" in text_of(act(operator, "revoke", row))
    row.refresh_from_db()
    assert row.revoked_at is None


def test_revoked_keys_are_refused_and_the_change_is_counted(operator, alice, charlie):
    before = ConfigurationVersion.current()
    response = act(operator, "revoke", alice.api_keys.get(), charlie.api_keys.get(), confirmed="yes")
    assert "2 keys were revoked" in text_of(response)
    assert not any(row.is_usable for row in APIKey.objects.filter(user__in=[alice, charlie]))
    assert ConfigurationVersion.current() > before


def test_the_button_on_a_keys_page_revokes_it(operator, alice):
    row = alice.api_keys.get()
    url = page(APIKey, "revoke_one", row.pk)
    assert "cannot be undone" in text_of(operator.get(url))
    operator.post(url, {"confirmed": "yes"})
    row.refresh_from_db()
    assert row.revoked_at is not None


def test_looking_at_the_button_changes_nothing(operator, alice):
    row = alice.api_keys.get()
    operator.get(page(APIKey, "revoke_one", row.pk), {"confirmed": "yes"})
    operator.get(page(APIKey, "rotate_one", row.pk), {"confirmed": "yes", "hours": "0"})
    assert alice.api_keys.get().revoked_at is None


def test_a_rotated_key_works_for_the_overlap_and_its_successor_is_shown(operator, alice):
    old = alice.api_keys.get()
    assert "goes on working" in text_of(act(operator, "rotate", old))
    before, now = ConfigurationVersion.current(), timezone.now()
    (key,) = keys_in(text_of(act(operator, "rotate", old, confirmed="yes", hours="24")))
    old.refresh_from_db()
    assert timedelta(hours=23) < old.expires_at - now < timedelta(hours=25)
    assert APIKey.objects.get(digest=digest(key)).user == alice
    assert ConfigurationVersion.current() > before


def test_a_key_rotated_without_overlap_stops_at_once(operator, alice):
    old = alice.api_keys.get()
    act(operator, "rotate", old, confirmed="yes", hours="0")
    old.refresh_from_db()
    assert not old.is_usable


def test_an_overlap_that_is_not_offered_is_refused(operator, alice):
    act(operator, "rotate", alice.api_keys.get(), confirmed="yes", hours="999999")
    assert alice.api_keys.count() == 1


def test_a_key_that_is_not_in_use_is_not_rotated(operator, alice):
    row = alice.api_keys.get()
    row.revoke()
    assert "nothing to do" in text_of(act(operator, "rotate", row))


@pytest.mark.parametrize(
    ("state", "change"),
    [
        ("active", {}),
        ("revoked", {"revoked_at": timezone.now()}),
        ("expired", {"expires_at": timezone.now() - timedelta(days=1)}),
    ],
)
def test_keys_are_filtered_by_their_state(operator, alice, charlie, state, change):
    alice.api_keys.update(**change)
    charlie.api_keys.update(expires_at=timezone.now() - timedelta(days=1), revoked_at=timezone.now())
    if state == "revoked":
        charlie.api_keys.update(revoked_at=None)
    text = text_of(operator.get(page(APIKey, "changelist"), {"state": state}))
    assert alice.api_keys.get().masked in text
    assert charlie.api_keys.get().masked not in text


def test_a_key_whose_user_is_off_is_not_called_active(operator, alice):
    User.objects.filter(pk=alice.pk).update(is_active=False)
    text = text_of(operator.get(page(APIKey, "changelist"), {"state": "blocked"}))
    assert alice.api_keys.get().masked in text


def test_a_tenant_administrator_issues_keys_for_the_own_tenant(administrator, alice):
    assert keys_in(issue(administrator, alice))


def test_a_tenant_administrator_cannot_issue_a_key_for_somebody_elses_user(administrator, charlie):
    assert "Select a valid choice" in issue(administrator, charlie)
    assert charlie.api_keys.count() == 1


def test_new_keys_are_shown_to_nobody_else(administrator, operator, alice):
    operator.post(page(APIKey, "add"), {**FORM, "user": str(alice.pk)})
    assert not keys_in(text_of(administrator.get(ISSUED)))
