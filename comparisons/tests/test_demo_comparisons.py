"""`manage.py demo_comparisons`: something to look at on the first `make run`."""

from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

from accounts.models import Tenant, User
from comparisons.models import Comparison
from comparisons.tests.rows import make_comparison
from proxy.models import Usage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def demo(settings: Settings, tmp_path: Path) -> User:
    settings.GATEWAY_DATA_DIR = tmp_path
    call_command("demo")
    user: User = User.objects.get(username="demo")
    return user


def test_it_asks_the_demo_models_for_real(demo: User):
    call_command("demo_comparisons")
    rows = {row.title: row for row in Comparison.objects.of_tenant(demo.tenant_id)}
    assert {row.status for row in rows.values()} == {"complete", "partial"}
    whole, short = rows["Short answers and long ones"].answers.order_by("slot")
    assert whole.content.startswith("Here is a **checklist**")
    assert short.label == "in 30 words"
    assert len(short.content.split()) == 30
    assert [answer.status for answer in rows["When models fail"].answers.order_by("slot")] == ["ok"] + ["error"] * 3
    assert Usage.objects.filter(endpoint="comparison").count() == 9


def test_where_something_was_compared_it_adds_nothing(demo: User):
    make_comparison(demo, "demo/echo", "demo/slow")
    call_command("demo_comparisons")
    assert Comparison.objects.count() == 1


def test_without_the_demo_user_or_tenant_it_does_nothing(demo: User):
    Tenant.objects.update(is_active=False)
    call_command("demo_comparisons")
    User.objects.filter(username="demo").delete()
    call_command("demo_comparisons")
    assert not Comparison.objects.exists()
