import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, update_last_login
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks
from redis.exceptions import ConnectionError

from accounts import redis
from accounts.models import APIKey, ConfigurationVersion, Tenant, User
from accounts.models.api_key import digest, generate_key

pytestmark = pytest.mark.django_db
Counted = Callable[[int], AbstractContextManager[None]]


def published() -> int:
    """The version that every admission compares itself with."""
    return int(redis.sync_client().get(redis.CONFIGURATION_VERSION) or 0)


@pytest.fixture
def counted(alice: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> Counted:
    """`with counted(1):` asserts that the block makes so many versions, and publishes the last one after its commit."""

    @contextmanager
    def counted(changes: int) -> Iterator[None]:
        before, seen = ConfigurationVersion.current(), published()
        with django_capture_on_commit_callbacks() as callbacks:
            yield
        assert ConfigurationVersion.current() - before == changes
        assert published() == seen, "published before the commit"
        for callback in callbacks:
            callback()
        assert published() == (before + changes if changes else seen)

    return counted


def test_before_the_first_change_the_version_is_zero():
    ConfigurationVersion.objects.all().delete()

    assert ConfigurationVersion.current() == 0
    Tenant.objects.create(name="initech")
    assert ConfigurationVersion.current() == 1


def test_a_save_counts_once(counted: Counted, acme: Tenant):
    with counted(1):
        acme.requests_per_minute = 5
        acme.save()


def test_an_insert_counts_once(counted: Counted):
    with counted(1):
        Tenant.objects.create(name="initech")


def test_a_save_of_single_fields_counts_once(counted: Counted, acme: Tenant):
    with counted(1):
        acme.save(update_fields=["is_active"])


def test_a_delete_counts_once(counted: Counted):
    initech = Tenant.objects.create(name="initech")

    with counted(1):
        initech.delete()


def test_deleting_a_query_counts(counted: Counted, alice: User):
    with counted(1):
        APIKey.objects.filter(user=alice).delete()


def test_deleting_a_user_counts_for_the_keys_that_go_with_it(counted: Counted, alice: User):
    with counted(2):
        alice.delete()


def test_a_new_password_counts_once(counted: Counted, alice: User):
    with counted(1):
        alice.set_password("another correct horse")
        alice.save(update_fields=["password"])


def test_issuing_revoking_and_rotating_a_key_count(counted: Counted, alice: User):
    with counted(1):
        row, _ = APIKey.issue(alice, "billing")
    with counted(2):  # the successor, and the end of the old one
        row.rotate(timedelta(hours=1))
    with counted(1):
        row.revoke()


@pytest.mark.parametrize("change", ["add", "remove", "clear", "reverse"])
def test_a_change_of_a_many_to_many_relation_counts_once(counted: Counted, alice: User, change: str):
    group, other = Group.objects.create(name="reviewers"), Group.objects.create(name="others")
    alice.groups.add(other)
    actions = {
        "add": lambda: alice.groups.add(group),
        "remove": lambda: alice.groups.remove(other),
        "clear": lambda: alice.groups.clear(),
        "reverse": lambda: group.user_set.add(alice),
    }

    with counted(1):
        actions[change]()


def test_a_bulk_update_counts_once(counted: Counted, acme: Tenant):
    with counted(1):
        assert User.objects.filter(tenant=acme).update(is_active=False) == 2
    users = list(User.objects.filter(tenant=acme))
    with counted(1):
        User.objects.bulk_update(users, ["is_active"])


def test_a_bulk_update_through_a_relation_counts_once(counted: Counted, acme: Tenant):
    with counted(1):
        acme.users.update(requests_per_minute=5)


def test_a_bulk_update_of_nothing_does_not_count(counted: Counted):
    with counted(0):
        Tenant.objects.filter(name="nobody").update(is_active=False)


def test_a_bulk_insert_counts_once(counted: Counted, alice: User):
    with counted(1):
        APIKey.objects.bulk_create(APIKey(user=alice, name=f"{n}", digest=digest(generate_key())) for n in range(3))
    with counted(0):
        APIKey.objects.bulk_create([])


def test_what_is_no_configuration_does_not_count(counted: Counted, alice: User):
    row = APIKey.objects.get(user=alice)

    with counted(0):
        update_last_login(User, alice)
        User.objects.filter(pk=alice.pk).update(last_login=timezone.now())
        row.last_used_at = timezone.now()
        row.save(update_fields=["last_used_at"])
        APIKey.objects.filter(pk=row.pk).update(last_used_at=timezone.now())
        APIKey.objects.bulk_update([row], ["last_used_at"])


def test_configuration_saved_together_with_other_fields_counts(counted: Counted, alice: User):
    with counted(1):
        User.objects.filter(pk=alice.pk).update(last_login=timezone.now(), is_active=False)
    with counted(1):
        alice.save(update_fields=["last_login", "is_active"])


@pytest.mark.django_db(transaction=True)
def test_a_change_that_is_rolled_back_does_not_count_and_is_not_published(acme: Tenant):
    before, seen = ConfigurationVersion.current(), published()

    with transaction.atomic():
        acme.save()
        transaction.set_rollback(True)
    assert (ConfigurationVersion.current(), published()) == (before, seen)


@pytest.mark.django_db(transaction=True)
def test_the_published_version_never_goes_back(acme: Tenant):
    acme.save()
    newest = published()
    redis.publish_configuration_version(newest - 1)

    assert published() == newest


@pytest.mark.django_db(transaction=True)
def test_the_first_changes_of_two_processes_at_the_same_time_both_count():
    ConfigurationVersion.objects.all().delete()
    start, failures = threading.Barrier(4), []

    def change(name: str) -> None:
        try:
            start.wait()
            Tenant.objects.create(name=name)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shows it
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=change, args=[f"tenant-{n}"]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert ConfigurationVersion.current() == 4
    assert published() == 4


@pytest.mark.django_db(transaction=True)
def test_a_change_succeeds_without_redis(acme: Tenant, monkeypatch: pytest.MonkeyPatch):
    """The version is in the database; every process polls it."""

    def refuse(*args: object) -> None:
        raise ConnectionError("connection refused")

    monkeypatch.setattr(redis.blocking, "run_script", refuse)
    before = ConfigurationVersion.current()
    acme.save()

    assert ConfigurationVersion.current() == before + 1
