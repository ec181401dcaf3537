"""Budgets in the admin: how the month stands, and top-ups as rows."""

import html
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.callers import key_budget, tenant_budget, user_budget
from accounts.models import ConfigurationVersion, TopUp, User
from accounts.redis import sync_client
from conftest import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def this_month() -> str:
    return timezone.now().strftime("%Y-%m")


@pytest.mark.parametrize("page", ["tenant", "user", "apikey"])
def test_every_page_of_a_budget_opens(page: str, operator: Client, cast: Cast):
    rows: dict[str, Any] = {"tenant": cast.acme, "user": cast.alice.user, "apikey": cast.alice.key_row}
    row = rows[page]
    row.monthly_token_budget = 1000
    row.save()
    response = operator.get(f"/admin/accounts/{page}/{row.pk}/change/")
    assert "1,000 tokens" in response.content.decode()


def test_a_tenants_page_shows_what_is_used_reserved_and_left(operator: Client, cast: Cast):
    cast.acme.monthly_token_budget = 10_000
    cast.acme.save()
    sync_client().hset(tenant_budget(cast.acme).counter(this_month()), mapping={"spent": 2500, "reserved": 500})
    page = operator.get(f"/admin/accounts/tenant/{cast.acme.pk}/change/").content.decode()
    assert "<strong>2,500</strong> used, 500 reserved, <strong>7,000</strong> left of 10,000 tokens" in page


def test_a_top_up_says_who_gave_it_and_takes_effect(operator: Client, cast: Cast):
    before = ConfigurationVersion.current()
    data = {"tenant": cast.acme.pk, "month": this_month(), "tokens": "5000", "reason": "Launch week"}
    assert operator.post("/admin/accounts/topup/add/", data).status_code == 302
    top_up = TopUp.objects.get()
    assert (top_up.created_by.username, top_up.reason) == ("root", "Launch week")  # type: ignore[union-attr]
    assert ConfigurationVersion.current() > before
    assert tenant_budget(cast.acme).top_ups == {this_month(): 5000}


def test_the_bar_says_what_top_ups_gave(operator: Client, cast: Cast):
    cast.acme.monthly_token_budget, cast.acme.budget_mode = 1000, "soft"
    cast.acme.save()
    TopUp.objects.create(tenant=cast.acme, month=this_month(), tokens=5000, reason="Launch week")
    page = operator.get(f"/admin/accounts/tenant/{cast.acme.pk}/change/").content.decode()
    assert "left of 6,000 tokens (5,000 by" in page
    assert "this budget only warns" in page
    listed = operator.get("/admin/accounts/topup/").content.decode()
    assert "+5,000" in listed
    assert "Launch week" in listed


@pytest.mark.parametrize("scope", ["tenant", "user", "apikey"])
def test_a_month_is_reset_by_a_row_with_who_and_why(scope: str, operator: Client, cast: Cast):
    rows: dict[str, Any] = {"tenant": cast.acme, "user": cast.alice.user, "apikey": cast.alice.key_row}
    budgets: dict[str, Any] = {"tenant": tenant_budget, "user": user_budget, "apikey": key_budget}
    row, budget_of = rows[scope], budgets[scope]
    row.monthly_token_budget = 1000
    row.save()
    sync_client().hset(budget_of(row).counter(this_month()), mapping={"spent": 900})
    page = operator.get(f"/admin/accounts/{scope}/{row.pk}/change/").content.decode()
    [address] = [html.unescape(url) for url in re.findall(r'href="([^"]+)">Reset the month', page)]
    form = operator.get(address).context["adminform"].form
    assert form.initial["tokens"] == "900"
    data = {**form.initial, "reason": "A loop of ours"}
    assert operator.post("/admin/accounts/topup/add/", data).status_code == 302
    assert budget_of(row).limit_in(this_month()) == 1900
    top_up = TopUp.objects.get()
    assert (top_up.reason, top_up.created_by.username) == ("A loop of ours", "root")  # type: ignore[union-attr]


def test_only_operators_find_the_way_to_a_top_up(client: Client, cast: Cast):
    cast.acme.monthly_token_budget = 1000
    cast.acme.save()
    client.force_login(cast.bob.user)
    page = client.get(f"/admin/accounts/tenant/{cast.acme.pk}/change/").content.decode()
    assert "left of 1,000 tokens" in page
    assert "Top up" not in page


def test_a_top_up_names_one_budget(operator: Client, cast: Cast):
    both = {"tenant": cast.acme.pk, "user": cast.alice.user.pk, "month": this_month(), "tokens": "1", "reason": "x"}
    response = operator.post("/admin/accounts/topup/add/", both)
    assert "Name one budget" in response.content.decode()
    assert not TopUp.objects.exists()


def test_top_ups_are_never_edited(operator: Client, cast: Cast):
    top_up = TopUp.objects.create(tenant=cast.acme, month=this_month(), tokens=1, reason="x")
    operator.post(f"/admin/accounts/topup/{top_up.pk}/change/", {"tokens": "9"})
    top_up.refresh_from_db()
    assert top_up.tokens == 1


def test_a_tenant_administrator_sees_the_own_tenants_only(client: Client, cast: Cast):
    for subject in ({"tenant": cast.acme}, {"user": cast.charlie.user}):
        TopUp.objects.create(month=this_month(), tokens=1, reason=f"for {next(iter(subject))}", **subject)
    client.force_login(cast.bob.user)
    page = client.get("/admin/accounts/topup/").content.decode()
    assert "for tenant" in page
    assert "for user" not in page
    assert client.get("/admin/accounts/topup/add/").status_code == 403
