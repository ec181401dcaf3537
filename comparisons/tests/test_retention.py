from datetime import timedelta

import pytest
from celery import current_app
from django.utils import timezone

from accounts.models import Tenant
from comparisons import retention, tasks
from comparisons.models import Answer, Comparison, ComparisonTag, Note, Vote
from comparisons.tests.rows import make_comparison
from conftest import Cast


def keep(tenant: Tenant, days: int) -> None:
    Tenant.objects.filter(pk=tenant.pk).update(keep_comparisons_days=days)


def aged(cast: Cast, days: int) -> Comparison:
    return make_comparison(cast.alice.user, "fake/one", "fake/two", created_at=timezone.now() - timedelta(days=days))


def test_what_is_older_than_its_tenant_keeps_is_deleted_with_all_that_belongs_to_it(cast: Cast):
    keep(cast.acme, 30)
    aged(cast, 31)
    old = make_comparison(
        cast.alice.user, "fake/one", "fake/two", tags=("sky",), created_at=timezone.now() - timedelta(days=32)
    )
    Vote.objects.cast(old, cast.bob.user, "tie")
    Note.objects.write(old, cast.bob.user, "Neither.")
    young = aged(cast, 29)
    assert tasks.delete_expired_comparisons() == 2
    assert list(Comparison.objects.all()) == [young]
    assert set(Answer.objects.values_list("comparison", flat=True)) == {young.pk}
    assert not any(model.objects.exists() for model in (ComparisonTag, Vote, Note))


def test_zero_days_keep_everything(cast: Cast):
    aged(cast, 4000)
    assert tasks.delete_expired_comparisons() == 0
    assert Comparison.objects.count() == 1


def test_one_tenants_rule_deletes_nothing_of_another(cast: Cast):
    keep(cast.globex, 1)
    aged(cast, 10)
    assert tasks.delete_expired_comparisons() == 0


def test_a_rerun_outlives_what_it_was_a_rerun_of(cast: Cast):
    keep(cast.acme, 30)
    rerun = make_comparison(cast.alice.user, "fake/one", "fake/two", successor_of=aged(cast, 31))
    tasks.delete_expired_comparisons()
    rerun.refresh_from_db()
    assert rerun.successor_of is None


def test_many_are_deleted_batch_by_batch(cast: Cast, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    keep(cast.acme, 30)
    for _ in range(5):
        aged(cast, 31)
    assert retention.delete_expired(for_at_most_s=0) == 0
    assert retention.delete_expired(for_at_most_s=60) == 5


def test_deleting_is_on_the_schedule_and_ends_before_its_message_comes_again():
    current_app.autodiscover_tasks(force=True)
    [entry] = [
        entry
        for entry in current_app.conf.beat_schedule.values()
        if entry["task"] == "comparisons.tasks.delete_expired_comparisons"
    ]
    task = current_app.tasks[entry["task"]]
    redelivered_after_s = current_app.conf.broker_transport_options["visibility_timeout"]
    assert tasks.DELETING_S < (task.soft_time_limit or 0) < (task.time_limit or 0) < redelivered_after_s
