"""Deleting what a tenant no longer keeps (`Tenant.keep_comparisons_days`)."""

import time
from datetime import timedelta

from django.utils import timezone

from accounts.models import Tenant
from comparisons.models import Comparison

AT_ONCE = 500


def delete_expired(*, for_at_most_s: float) -> int:
    """Delete expired comparisons with their answers, votes and notes; returns how many.

    In small transactions, so that nobody waits for long. What the time does not suffice for is left for another night.
    """
    deadline = time.monotonic() + for_at_most_s
    deleted = 0
    for tenant in Tenant.objects.exclude(keep_comparisons_days=0):
        while time.monotonic() < deadline and (batch := _expired(tenant)):
            Comparison.objects.filter(pk__in=batch).delete()
            deleted += len(batch)
    return deleted


def _expired(tenant: Tenant) -> list[str]:
    kept_since = timezone.now() - timedelta(days=tenant.keep_comparisons_days)
    old = Comparison.objects.of_tenant(tenant.pk).filter(created_at__lt=kept_since)
    return list(old.order_by("created_at").values_list("pk", flat=True)[:AT_ONCE])
