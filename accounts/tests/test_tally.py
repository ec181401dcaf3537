"""What one subject used in one month."""

import pytest
from django.utils import timezone

from accounts.models import MonthlyTally


@pytest.mark.django_db
def test_addresses_of_past_months_are_forgotten():
    this_month = timezone.now().strftime("%Y-%m")
    for scope, month in (("ip", "2024-01"), ("user", "2024-01"), ("ip", this_month)):
        MonthlyTally.objects.create(scope=scope, subject="192.0.2.1", month=month)
    assert MonthlyTally.objects.forget_addresses() == 1
    assert set(MonthlyTally.objects.values_list("scope", "month")) == {("user", "2024-01"), ("ip", this_month)}
