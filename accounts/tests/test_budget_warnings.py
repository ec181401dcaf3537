"""Warnings at 80 % and 100 % of a monthly budget: to whom, by what, and once each."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import close_old_connections, connections
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts import budget_warnings, webhook_client, webhooks
from accounts.callers import tenant_budget
from accounts.ledger import keys
from accounts.models import BudgetWarning, MonthlyTally, Tenant, TopUp, User, WarningDelivery
from accounts.redis import sync_client
from accounts.tasks import warn_of_budgets
from accounts.tests.webhook_receiver import WebhookReceiver
from conftest import Cast

pytestmark = pytest.mark.django_db
MONTH = timezone.now().strftime("%Y-%m")


@pytest.fixture(autouse=True)
def _mail(settings: Settings) -> None:
    settings.GATEWAY_SENDS_MAIL = True
    settings.DEFAULT_FROM_EMAIL = "LLM gateway <gateway@example.com>"


@pytest.fixture
def receiver(cast: Cast) -> Iterator[WebhookReceiver]:
    with WebhookReceiver() as receiver:
        cast.acme.webhook_url = receiver.url
        cast.acme.save()
        yield receiver


def use(scope: str, row: Any, tokens: int, month: str = MONTH) -> None:
    """What the tally says from now on."""
    MonthlyTally.objects.update_or_create(
        scope=scope, subject=str(row.pk), month=month, defaults={"prompt_tokens": tokens - 1, "completion_tokens": 1}
    )


def give(row: Any, tokens: int | None, **fields: object) -> None:
    row.monthly_token_budget = tokens
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()


def reached() -> list[int]:
    return list(BudgetWarning.objects.order_by("pk").values_list("threshold", flat=True))


def make_due() -> None:
    WarningDelivery.objects.update(due_at=timezone.now())


def test_each_threshold_is_told_once(cast: Cast, receiver: WebhookReceiver):
    give(cast.acme, 1000)
    told = []
    for used in (799, 800, 999, 1000, 1500):
        use("tenant", cast.acme, used)
        told.append([warn_of_budgets(), warn_of_budgets()])
    assert told == [[0, 0], [1, 0], [0, 0], [1, 0], [0, 0]]
    assert len(mail.outbox) == len(receiver.received) == 2
    assert [json.loads(body)["data"]["threshold_percent"] for _, body in receiver.received] == [80, 100]


def test_a_budget_that_is_used_up_at_one_stroke_has_reached_both(cast: Cast):
    give(cast.acme, 1000)
    use("tenant", cast.acme, 1000)
    assert warn_of_budgets() == 2
    assert reached() == [80, 100]


@pytest.mark.parametrize(("used", "told"), [(790, []), (930, [80, 100])])
def test_a_budget_that_refuses_for_want_of_room_is_as_good_as_used_up(used: int, told: list[int], cast: Cast):
    give(cast.acme, 1000)
    use("tenant", cast.acme, used)
    sync_client().sadd(keys.EXHAUSTED, tenant_budget(cast.acme).counter(MONTH))
    warn_of_budgets()
    assert reached() == told
    assert not told or "do not fit in what is left" in str(mail.outbox[1].body)
    assert not sync_client().exists(keys.EXHAUSTED)


@pytest.mark.parametrize("scope", ["tenant", "user", "key"])
def test_mail_goes_to_the_administrators_and_to_whose_budget_it_is(scope: str, cast: Cast):
    row = {"tenant": cast.acme, "user": cast.alice.user, "key": cast.alice.key_row}[scope]
    give(row, 1000)
    use(scope, row, 850)
    warn_of_budgets()
    expected = {"bob@example.com"} if scope == "tenant" else {"alice@example.com", "bob@example.com"}
    assert {address for message in mail.outbox for address in message.to} == expected
    assert all(len(message.to) == 1 for message in mail.outbox), "nobody learns who else was told"
    message = mail.outbox[0]
    name = {"tenant": "acme", "user": "alice", "key": "alice's key"}[scope]
    assert message.subject == f"{name} has used 80 % of its monthly token budget"
    assert "has used 850 of 1,000 tokens" in message.body
    assert "(tenant acme)" in message.body or scope == "tenant"
    assert message.from_email == "LLM gateway <gateway@example.com>"


def test_who_is_switched_off_or_has_no_address_gets_no_mail(cast: Cast):
    User.objects.create_user("dora", "", tenant=cast.acme, role="tenant_admin")
    User.objects.create_user("emil", "emil@example.com", tenant=cast.acme, role="tenant_admin", is_active=False)
    give(cast.acme, 1000)
    use("tenant", cast.acme, 900)
    warn_of_budgets()
    assert [message.to for message in mail.outbox] == [["bob@example.com"]]


def test_a_soft_budget_says_that_nothing_is_refused(cast: Cast, receiver: WebhookReceiver):
    give(cast.acme, 1000, budget_mode="soft")
    use("tenant", cast.acme, 1200)
    warn_of_budgets()
    assert "no request is refused" in mail.outbox[-1].body
    assert "top-up" not in mail.outbox[-1].body
    assert json.loads(receiver.received[-1][1])["data"]["mode"] == "soft"


def test_without_a_mail_server_only_the_webhook_is_told(cast: Cast, receiver: WebhookReceiver, settings: Settings):
    settings.GATEWAY_SENDS_MAIL = False
    give(cast.acme, 1000)
    use("tenant", cast.acme, 900)
    warn_of_budgets()
    assert mail.outbox == []
    assert len(receiver.received) == 1


def test_a_top_up_warns_again_on_the_way_to_the_new_limit(cast: Cast):
    give(cast.alice.user, 1000)
    use("user", cast.alice.user, 900)
    warn_of_budgets()
    TopUp.objects.create(user=cast.alice.user, month=MONTH, tokens=1000, reason="Launch")
    assert warn_of_budgets() == 0, "900 of 2,000 is far from the limit"
    use("user", cast.alice.user, 1600)
    assert warn_of_budgets() == 1
    assert list(BudgetWarning.objects.order_by("pk").values_list("limit", "used")) == [(1000, 900), (2000, 1600)]


def test_a_budget_that_is_lowered_below_what_was_used_warns(cast: Cast):
    give(cast.acme, 10_000)
    use("tenant", cast.acme, 900)
    assert warn_of_budgets() == 0
    give(cast.acme, 500)
    assert warn_of_budgets() == 2


def test_no_budget_no_use_no_warning(cast: Cast):
    use("tenant", cast.acme, 1_000_000)
    give(cast.globex, 0)
    give(cast.alice.user, 1000)
    assert warn_of_budgets() == 0


def test_the_month_is_that_of_the_tenants_time_zone(cast: Cast):
    for tenant, zone in ((cast.acme, "Pacific/Kiritimati"), (cast.globex, "Pacific/Pago_Pago")):
        give(tenant, 1000, time_zone=zone)
        use("tenant", tenant, 900, "2026-12")
        use("tenant", tenant, 1000, "2027-01")
    new_year = datetime(2027, 1, 1, 12, tzinfo=ZoneInfo("Pacific/Kiritimati"))  # in Pago Pago it is still December
    budget_warnings.note(new_year)
    warned = BudgetWarning.objects.order_by("pk").values_list("tenant__name", "month", "threshold")
    assert list(warned) == [("acme", "2027-01", 80), ("acme", "2027-01", 100), ("globex", "2026-12", 80)]
    first = BudgetWarning.objects.earliest("pk")
    assert first.resets_at.isoformat() == "2027-02-01T00:00:00+14:00"
    budget_warnings.send(for_at_most_s=10)
    assert "starts anew on 2027-02-01 (Pacific/Kiritimati)" in mail.outbox[0].body


def test_what_was_settled_just_after_midnight_still_warns_of_the_month_before(cast: Cast):
    give(cast.acme, 1000, time_zone="Europe/Berlin")
    use("tenant", cast.acme, 900, "2026-12")
    assert budget_warnings.note(datetime(2027, 1, 1, 2, tzinfo=ZoneInfo("Europe/Berlin"))) == 0
    assert budget_warnings.note(datetime(2027, 1, 1, 0, 30, tzinfo=ZoneInfo("Europe/Berlin"))) == 1


def test_the_webhook_has_the_documented_shape_and_a_signature(cast: Cast, receiver: WebhookReceiver):
    cast.acme.time_zone = "UTC"
    cast.acme.save()
    give(cast.alice.key_row, 1000)
    use("key", cast.alice.key_row, 999)
    warn_of_budgets()
    [(headers, body)] = receiver.received
    warning = BudgetWarning.objects.get()
    assert json.loads(body) == {
        "type": "budget.warning",
        "timestamp": warning.created_at.isoformat(),
        "data": {
            "scope": "key",
            "tenant": {"id": cast.acme.pk, "name": "acme"},
            "user": {"id": cast.alice.user.pk, "username": "alice"},
            "api_key": {"id": str(cast.alice.key_row.pk), "name": "alice's key"},
            "month": MONTH,
            "time_zone": "UTC",
            "resets_at": warning.resets_at.isoformat(),
            "threshold_percent": 80,
            "used_percent": 99.9,
            "used": 999,
            "limit": 1000,
            "mode": "hard",
        },
    }
    secret = webhooks.secret_of(cast.acme.pk, receiver.url).removeprefix("whsec_")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(base64.b64decode(secret), signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert headers["content-type"] == "application/json"
    assert cast.alice.key not in body.decode()


def test_each_tenant_and_each_address_has_a_secret_of_its_own(cast: Cast):
    pairs = [(cast.acme, "https://a.example"), (cast.globex, "https://a.example"), (cast.acme, "https://b.example")]
    assert len({webhooks.secret_of(tenant.pk, url) for tenant, url in pairs}) == 3


@pytest.mark.parametrize("status", [307, 404, 500])
def test_a_webhook_that_fails_is_tried_again_until_it_is_taken(status: int, cast: Cast, receiver: WebhookReceiver):
    give(cast.acme, 1000)
    use("tenant", cast.acme, 900)
    receiver.status = status
    warn_of_budgets()
    warn_of_budgets()
    assert len(receiver.received) == 1, "redirects are not followed, and there is a pause before the next attempt"
    delivery = WarningDelivery.objects.get(channel="webhook")
    assert (delivery.error, delivery.delivered_at, delivery.attempts) == (f"HTTP {status}", None, 1)
    receiver.status = 200
    make_due()
    warn_of_budgets()
    delivery.refresh_from_db()
    assert delivery.delivered_at is not None
    assert delivery.error == ""
    ids = [headers["webhook-id"] for headers, _ in receiver.received]
    assert len(ids) == 2
    assert ids[0] == ids[1], "a receiver can tell a second copy"
    assert len(mail.outbox) == 1, "the mail had arrived"


def test_a_silent_receiver_holds_nobody_up(cast: Cast, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(webhook_client, "TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    give(cast.acme, 1000)
    use("tenant", cast.acme, 900)
    receiver.answers.clear()
    warn_of_budgets()
    assert WarningDelivery.objects.get(channel="webhook").error == "no answer (TimeoutError)"
    assert len(mail.outbox) == 1


def test_after_a_day_a_delivery_is_given_up(cast: Cast, receiver: WebhookReceiver):
    give(cast.acme, 1000)
    use("tenant", cast.acme, 900)
    receiver.status = 500
    warn_of_budgets()
    BudgetWarning.objects.update(created_at=timezone.now() - timedelta(days=1))
    make_due()
    warn_of_budgets()
    assert WarningDelivery.objects.get(channel="webhook").given_up_at is not None
    make_due()
    warn_of_budgets()
    assert len(receiver.received) == 2


def test_a_webhook_that_was_taken_away_is_not_called(cast: Cast, receiver: WebhookReceiver):
    give(cast.acme, 1000)
    use("tenant", cast.acme, 900)
    budget_warnings.note()
    Tenant.objects.update(webhook_url="")
    budget_warnings.send(for_at_most_s=10)
    assert receiver.received == []
    assert WarningDelivery.objects.get(channel="webhook").given_up_at is not None


def test_a_mail_server_that_is_away_is_tried_again(cast: Cast, settings: Settings):
    give(cast.acme, 1000)
    use("tenant", cast.acme, 900)
    in_memory, settings.EMAIL_BACKEND = settings.EMAIL_BACKEND, "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    warn_of_budgets()
    assert WarningDelivery.objects.get().error == "ConnectionRefusedError"
    settings.EMAIL_BACKEND = in_memory
    make_due()
    warn_of_budgets()
    assert len(mail.outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_workers_at_the_same_time_send_each_message_once(cast: Cast, receiver: WebhookReceiver):
    for row, scope in ((cast.acme, "tenant"), (cast.alice.user, "user"), (cast.alice.key_row, "key")):
        give(row, 1000)
        use(scope, row, 1000)

    def work(_: int) -> int:
        close_old_connections()
        try:
            return warn_of_budgets()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as workers:
        assert sum(workers.map(work, range(4))) == 6
    assert len(receiver.received) == 6
    assert len(mail.outbox) == 2 + 4 + 4
    assert not WarningDelivery.objects.waiting().exists()


@pytest.mark.parametrize("url", ["ftp://a.example", "a.example", "https://me:secret@a.example/x", "https://a b"])
def test_what_is_no_address_of_a_webhook_is_refused(url: str, cast: Cast):
    cast.acme.webhook_url = url
    with pytest.raises(ValidationError):
        cast.acme.full_clean()


def test_the_admin_shows_warnings_to_the_own_tenant_only(cast: Cast, client: Client, receiver: WebhookReceiver):
    give(cast.acme, 1000)
    give(cast.globex, 1000)
    use("tenant", cast.acme, 900)
    use("tenant", cast.globex, 900)
    receiver.status = 500
    warn_of_budgets()
    client.force_login(cast.bob.user)
    listed = client.get("/admin/accounts/budgetwarning/").content.decode()
    assert "900 of 1,000" in listed
    assert "globex" not in listed
    own, others = (BudgetWarning.objects.get(tenant=tenant) for tenant in (cast.acme, cast.globex))
    page = client.get(f"/admin/accounts/budgetwarning/{own.pk}/change/").content.decode()
    assert "bob@example.com" in page
    assert "HTTP 500" in page
    assert receiver.url not in page
    assert client.get(f"/admin/accounts/budgetwarning/{others.pk}/change/").status_code == 302
    for verb in ("add/", f"{own.pk}/delete/"):
        assert client.get(f"/admin/accounts/budgetwarning/{verb}").status_code == 403


def test_only_operators_see_and_set_a_webhook(cast: Cast, client: Client, receiver: WebhookReceiver):
    page = f"/admin/accounts/tenant/{cast.acme.pk}/change/"
    secret = webhooks.secret_of(cast.acme.pk, receiver.url)
    client.force_login(cast.bob.user)
    assert secret not in client.get(page).content.decode()
    assert receiver.url not in client.get(page).content.decode()
    client.force_login(User.objects.create_superuser("root"))
    shown = client.get(page).content.decode()
    assert secret.replace("+", "&#x2B;").replace("=", "&#x3D;") in shown or secret in shown
    assert "bob@example.com" in shown


def test_without_a_mail_server_the_admin_says_so(cast: Cast, client: Client, settings: Settings):
    settings.GATEWAY_SENDS_MAIL = False
    client.force_login(User.objects.create_superuser("root"))
    for page in ("budgetwarning/", f"tenant/{cast.acme.pk}/change/"):
        assert "EMAIL_URL is not set" in client.get(f"/admin/accounts/{page}").content.decode()
