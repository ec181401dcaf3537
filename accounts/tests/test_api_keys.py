import string
from datetime import timedelta
from itertools import pairwise

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection
from django.utils import timezone
from hypothesis import given, strategies as st
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import APIKey, Tenant, User
from accounts.models.api_key import ALPHABET, digest, generate_key, is_well_formed, validate_names, validate_networks

# The key itself ----------------------------------------------------------------------------------------------------


def test_a_key_is_prefix_thirty_random_and_six_check_characters():
    key = generate_key()

    assert key.startswith("gw_live_")
    assert len(key) == 8 + 30 + 6
    assert set(key[8:]) <= set(string.ascii_letters + string.digits)
    assert is_well_formed(key)


def test_no_two_keys_are_alike():
    assert len({generate_key() for _ in range(1000)}) == 1000


@given(position=st.integers(8, 43), replacement=st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed_without_a_query(position: int, replacement: str):
    key = generate_key()
    typo = key[:position] + replacement + key[position + 1 :]

    assert is_well_formed(typo) is (typo == key)


def test_two_swapped_neighbours_are_noticed_without_a_query():
    key = generate_key()
    for position, (left, right) in enumerate(pairwise(key)):
        if left != right:
            assert not is_well_formed(key[:position] + right + left + key[position + 2 :])


@given(text=st.text())
def test_garbage_is_not_well_formed(text: str):
    assert not is_well_formed(text)
    assert not is_well_formed(f"gw_live_{text}")


def test_the_digest_depends_on_key_and_pepper(settings: Settings):
    key, other = generate_key(), generate_key()
    before = digest(key)

    assert len(before) == 64
    assert digest(key) == before
    assert digest(other) != before
    settings.GATEWAY_API_KEY_PEPPER = b"another pepper"
    assert digest(key) != before


# Its row -----------------------------------------------------------------------------------------------------------


def test_an_issued_key_is_found_with_its_user_and_tenant_in_one_query(
    alice: User, acme: Tenant, django_assert_num_queries: DjangoAssertNumQueries
):
    row, key = APIKey.issue(alice, "billing")

    with django_assert_num_queries(1):
        found = APIKey.objects.for_key(key)
        assert found is not None
        assert found == row
        assert found.user.tenant == acme
    assert APIKey.objects.for_key(generate_key()) is None


def test_the_database_never_sees_the_key(alice: User):
    row, key = APIKey.issue(alice, "billing")
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM accounts_apikey WHERE name = 'billing'")
        stored = str(cursor.fetchall())

    assert row.digest in stored
    assert key not in stored
    assert key[12:-4] not in stored
    assert key not in f"{row} {row!r} {vars(row)}"


def test_a_key_is_recognised_by_its_beginning_and_end(alice: User):
    row, key = APIKey.issue(alice, "billing")

    assert row.masked == f"{key[:12]}…{key[-4:]}"
    assert str(row) == f"billing ({row.masked})"


def test_the_same_key_cannot_be_stored_twice(alice: User):
    row, _ = APIKey.issue(alice, "billing")

    with pytest.raises(IntegrityError):
        APIKey.objects.create(user=alice, name="copy", digest=row.digest)


# Whether it is usable ----------------------------------------------------------------------------------------------


@pytest.fixture
def key(alice: User) -> APIKey:
    return APIKey.issue(alice, "billing")[0]


def test_a_new_key_is_usable(key: APIKey):
    assert key.is_usable


def test_a_revoked_key_is_refused_and_stays_so(key: APIKey):
    key.revoke()
    key.refresh_from_db()
    first = key.revoked_at
    key.revoke()
    key.refresh_from_db()

    assert first is not None
    assert key.revoked_at == first
    assert not key.is_usable


def test_a_key_is_usable_until_it_expires(key: APIKey):
    key.expires_at = timezone.now() + timedelta(minutes=1)
    assert key.is_usable

    key.expires_at = timezone.now()
    assert not key.is_usable


def test_the_keys_of_an_inactive_user_are_refused(key: APIKey):
    key.user.is_active = False

    assert not key.is_usable


def test_the_keys_of_an_inactive_tenant_are_refused(key: APIKey, acme: Tenant):
    Tenant.objects.filter(pk=acme.pk).update(is_active=False)

    assert not APIKey.objects.get(pk=key.pk).is_usable


@pytest.mark.django_db
def test_the_keys_of_a_user_without_a_tenant_are_refused(quick_passwords: None):
    row, _ = APIKey.issue(User.objects.create_superuser("operator", password="x"), "operator's key")

    assert not row.is_usable


# Rotation ----------------------------------------------------------------------------------------------------------


def test_rotation_gives_a_successor_with_the_same_rights(alice: User):
    rights = {
        "allowed_models": ["default"],
        "allowed_networks": ["10.0.0.0/8"],
        "monthly_token_budget": 1000,
        "requests_per_minute": 5,
        "comparing": "only",
        "expires_at": timezone.now() + timedelta(days=30),
    }
    old, old_key = APIKey.issue(alice, "billing", **rights)
    new, new_key = old.rotate(timedelta(hours=1))

    new.refresh_from_db()
    assert new_key != old_key
    assert (new.user, new.name) == (alice, "billing")
    assert {name: getattr(new, name) for name in rights} == rights


def test_both_keys_work_during_the_overlap_and_then_only_the_new_one(key: APIKey):
    new, _ = key.rotate(timedelta(hours=1))
    key.refresh_from_db()

    assert key.is_usable
    assert new.is_usable
    assert key.expires_at is not None
    assert key.expires_at - timezone.now() <= timedelta(hours=1)
    assert new.expires_at is None


def test_without_an_overlap_the_old_key_ends_at_once(key: APIKey):
    key.rotate(timedelta(0))
    key.refresh_from_db()

    assert not key.is_usable


def test_rotation_never_prolongs_the_old_key(alice: User):
    soon = timezone.now() + timedelta(minutes=5)
    old, _ = APIKey.issue(alice, "billing", expires_at=soon)
    old.rotate(timedelta(hours=1))
    old.refresh_from_db()

    assert old.expires_at == soon


def test_a_revoked_or_expired_key_cannot_be_rotated_back_to_life(alice: User):
    revoked, _ = APIKey.issue(alice, "revoked")
    revoked.revoke()
    expired, _ = APIKey.issue(alice, "expired", expires_at=timezone.now())
    count = APIKey.objects.count()

    for row in (revoked, expired):
        with pytest.raises(ValidationError, match="Issue a new key"):
            row.rotate(timedelta(hours=1))
    assert APIKey.objects.count() == count


def test_a_rotation_that_fails_leaves_no_successor(key: APIKey):
    count = APIKey.objects.count()

    with pytest.raises(OverflowError):
        key.rotate(timedelta.max)
    assert APIKey.objects.count() == count


def test_a_key_revoked_meanwhile_is_not_revived_by_a_rotation(key: APIKey):
    APIKey.objects.get(pk=key.pk).revoke()
    key.rotate(timedelta(hours=1))
    key.refresh_from_db()

    assert not key.is_usable


# What the admin accepts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("networks", [[], ["10.0.0.0/8"], ["192.0.2.1", "2001:db8::/32"]])
def test_networks_are_accepted(networks: object):
    validate_networks(networks)


@pytest.mark.parametrize("networks", ["10.0.0.0/8", None, {}, [5], [True], [None], [[]], ["10.0.0.1/8"], ["office"]])
def test_what_is_no_list_of_networks_is_refused(networks: object):
    with pytest.raises(ValidationError):
        validate_networks(networks)


@pytest.mark.parametrize("names", [[], ["default"], ["openai/gpt-4o-mini", "x"]])
def test_names_are_accepted(names: object):
    validate_names(names)


@pytest.mark.parametrize("names", ["default", None, {}, [5], [""], [None], [["default"]]])
def test_what_is_no_list_of_names_is_refused(names: object):
    with pytest.raises(ValidationError):
        validate_names(names)
