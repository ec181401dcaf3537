"""Warnings at 80 % and 100 % of a monthly budget: who is near the limit, who is told, and how.

`note` looks at the tallies, `send` delivers; both are run again and again by Celery (accounts/tasks.py).
"""

import logging
import smtplib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any, cast
from zoneinfo import ZoneInfo

import orjson
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Sum
from django.template.loader import render_to_string
from django.utils import timezone

from accounts import webhook_client
from accounts.ledger import keys
from accounts.limits import Month, counter_name
from accounts.models import APIKey, BudgetWarning, MonthlyTally, Tenant, TopUp, User, WarningDelivery
from accounts.models.budget_warning import THRESHOLDS, BudgetScope
from accounts.models.tenant import BudgetMode
from accounts.redis import sync_client

logger = logging.getLogger(__name__)

# What was admitted before midnight and settled after it still counts for the month before.
LATE = timedelta(hours=1)
AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Limited:
    """A budget with a limit: whose it is, and where its tenant's calendar stands."""

    scope: BudgetScope
    subject: str
    name: str
    limit: int
    mode: str
    tenant_id: int
    time_zone: str
    user_id: int | None = None

    def months(self, now: datetime) -> set[str]:
        zone = ZoneInfo(self.time_zone)
        return {str(Month.at(moment.timestamp() * 1000, zone)) for moment in (now, now - LATE)}


def note(now: datetime | None = None) -> int:
    """Write a warning for each threshold that a budget has reached this month; returns how many are new.

    A budget that is nearly used up and had to refuse a request has reached 100 %: it need not come to the last token.
    Raises RedisError.
    """
    now = now or timezone.now()
    refused = cast("set[bytes]", sync_client().smembers(keys.EXHAUSTED))
    noted = sum(
        _note(budget, month, used, limit, refused=counter_name(budget.scope, budget.subject, month).encode() in refused)
        for budgets in (_tenants(), _users(), _keys())
        for batch in _batches(budgets)
        for budget, month, used, limit in _standing(batch, now)
    )
    if refused:
        sync_client().srem(keys.EXHAUSTED, *refused)
    return noted


def send(for_at_most_s: float) -> int:
    """Send what waits, each attempt by one worker alone; returns how many were delivered."""
    ends, delivered = time.monotonic() + for_at_most_s, 0
    due = WarningDelivery.objects.waiting().filter(due_at__lte=timezone.now()).order_by("due_at", "pk")
    for pk in list(due.values_list("pk", flat=True)[:AT_ONCE]):
        if time.monotonic() >= ends:
            break
        if delivery := WarningDelivery.objects.claim(pk):
            delivered += _attempt(delivery)
    return delivered


def payload(warning: BudgetWarning) -> dict[str, Any]:
    """The webhook's body; docs/SETUP_NOTES.md describes it."""
    user, tenant = warning.user, warning.tenant
    return {
        "type": "budget.warning",
        "timestamp": warning.created_at.isoformat(),
        "data": {
            "scope": warning.scope,
            "tenant": {"id": tenant.pk, "name": tenant.name},
            "user": {"id": user.pk, "username": user.username} if user else None,
            "api_key": {"id": warning.subject, "name": warning.name} if warning.scope == BudgetScope.KEY else None,
            "month": warning.month,
            "time_zone": tenant.time_zone,
            "resets_at": warning.resets_at.isoformat(),
            "threshold_percent": warning.threshold,
            "used_percent": warning.used_percent,
            "used": warning.used,
            "limit": warning.limit,
            "mode": warning.mode,
        },
    }


def _tenants() -> Iterator[Limited]:
    columns = ("pk", "name", "monthly_token_budget", "budget_mode", "time_zone")
    for pk, name, limit, mode, zone in Tenant.objects.exclude(monthly_token_budget=None).values_list(*columns):
        yield Limited(BudgetScope.TENANT, str(pk), name, limit, mode, pk, zone)


def _users() -> Iterator[Limited]:
    columns = ("pk", "username", "monthly_token_budget", "tenant", "tenant__time_zone")
    users = User.objects.exclude(monthly_token_budget=None).exclude(tenant=None)
    for pk, name, limit, tenant_id, zone in users.values_list(*columns):
        yield Limited(BudgetScope.USER, str(pk), name, limit, BudgetMode.HARD, tenant_id, zone, pk)


def _keys() -> Iterator[Limited]:
    columns = ("pk", "name", "monthly_token_budget", "user__tenant", "user__tenant__time_zone", "user")
    keys = APIKey.objects.exclude(monthly_token_budget=None).exclude(user__tenant=None)
    for pk, name, limit, tenant_id, zone, user_id in keys.values_list(*columns):
        yield Limited(BudgetScope.KEY, str(pk), name, limit, BudgetMode.HARD, tenant_id, zone, user_id)


def _batches(budgets: Iterable[Limited]) -> Iterator[list[Limited]]:
    batch: list[Limited] = []
    for budget in budgets:
        batch.append(budget)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _standing(batch: list[Limited], now: datetime) -> Iterator[tuple[Limited, str, int, int]]:
    """What these budgets of one scope used in the running month, beside the limit with its top-ups."""
    scope = batch[0].scope
    wanted = {(budget.subject, month): budget for budget in batch for month in budget.months(now)}
    subjects, months = {subject for subject, _ in wanted}, {month for _, month in wanted}
    top_ups = _top_ups(scope, subjects, months)
    for tally in MonthlyTally.objects.filter(scope=scope, subject__in=subjects, month__in=months):
        budget = wanted.get((tally.subject, tally.month))
        if budget and tally.tokens:
            limit = budget.limit + top_ups.get((tally.subject, tally.month), 0)
            yield budget, tally.month, tally.tokens, limit


def _top_ups(scope: BudgetScope, subjects: set[str], months: set[str]) -> dict[tuple[str, str], int]:
    column = {BudgetScope.TENANT: "tenant", BudgetScope.USER: "user", BudgetScope.KEY: "api_key"}[scope]
    rows = TopUp.objects.filter(**{f"{column}__in": subjects}, month__in=months)
    sums = rows.values_list(column, "month").annotate(tokens=Sum("tokens"))
    return {(str(subject), month): tokens for subject, month, tokens in sums}


def _note(budget: Limited, month: str, used: int, limit: int, *, refused: bool) -> int:
    reached = [threshold for threshold in THRESHOLDS if used * 100 >= threshold * limit]
    if refused and reached:
        reached = list(THRESHOLDS)
    known = BudgetWarning.objects.filter(scope=budget.scope, subject=budget.subject, month=month, limit=limit)
    noted = set(known.values_list("threshold", flat=True)) if reached else set()
    return sum(_write(budget, month, used, limit, threshold) for threshold in reached if threshold not in noted)


@transaction.atomic
def _write(budget: Limited, month: str, used: int, limit: int, threshold: int) -> bool:
    """The warning and where it goes, in one transaction; False where another worker was faster."""
    warning, is_new = BudgetWarning.objects.get_or_create(
        scope=budget.scope,
        subject=budget.subject,
        month=month,
        threshold=threshold,
        limit=limit,
        defaults={
            "tenant_id": budget.tenant_id,
            "user_id": budget.user_id,
            "name": budget.name,
            "used": used,
            "mode": budget.mode,
        },
    )
    if is_new:
        WarningDelivery.objects.bulk_create(_deliveries(warning))
    return is_new


def _deliveries(warning: BudgetWarning) -> Iterator[WarningDelivery]:
    if settings.GATEWAY_SENDS_MAIL:
        for address in warning.recipients():
            yield WarningDelivery(warning=warning, channel=WarningDelivery.Channel.MAIL, address=address)
    if warning.tenant.webhook_url:
        yield WarningDelivery(warning=warning, channel=WarningDelivery.Channel.WEBHOOK)


def _attempt(delivery: WarningDelivery) -> bool:
    is_mail = delivery.channel == WarningDelivery.Channel.MAIL
    if not is_mail and not delivery.warning.tenant.webhook_url:
        delivery.give_up("The tenant has no webhook any more.")
        return False
    try:
        _mail(delivery) if is_mail else _post(delivery)
    except (webhook_client.WebhookFailed, smtplib.SMTPException, OSError) as error:
        problem = str(error) if isinstance(error, webhook_client.WebhookFailed) else type(error).__name__
        logger.warning("Budget warning %s was not delivered by %s: %s.", delivery.warning_id, delivery.channel, problem)
        delivery.failed(problem)
        return False
    delivery.delivered()
    return True


def _post(delivery: WarningDelivery) -> None:
    tenant = delivery.warning.tenant
    webhook_client.post(tenant.pk, tenant.webhook_url, delivery.message_id, orjson.dumps(payload(delivery.warning)))


def _mail(delivery: WarningDelivery) -> None:
    warning = delivery.warning
    context = {"warning": warning, "tenant": warning.tenant, "starts_anew_on": warning.resets_at.date().isoformat()}
    subject = " ".join(render_to_string("accounts/budget_warning_subject.txt", context).split())
    body = render_to_string("accounts/budget_warning.txt", context)
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    headers = {"Message-ID": f"<{delivery.message_id}@{domain}>"}
    EmailMessage(subject, body, to=[delivery.address], headers=headers).send()
