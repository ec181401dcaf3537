from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.tenant import BudgetMode, Tenant
from accounts.models.user import Role, User

THRESHOLDS = (80, 100)
GIVEN_UP_AFTER = timedelta(days=1)
LONGEST_PAUSE = timedelta(minutes=30)


class BudgetScope(models.TextChoices):
    TENANT = "tenant", _("Tenant")
    USER = "user", _("User")
    KEY = "key", _("API key")


def addresses(tenant_id: int, user_id: int | None = None) -> list[str]:
    """Where mail goes: to the tenant's administrators, and to the user whose budget it is; each address once."""
    told = Q(role=Role.TENANT_ADMIN, tenant=tenant_id) | Q(pk=user_id)
    users = User.objects.filter(told, is_active=True).exclude(email="").order_by("pk")
    return list({email.lower(): email for email in users.values_list("email", flat=True)}.values())


class BudgetWarning(models.Model):
    """A budget reached a threshold: once for each budget, month, threshold and limit.

    The limit is part of it, so that a budget which was topped up warns again on its way to the new limit.
    """

    tenant = models.ForeignKey(
        Tenant, models.CASCADE, related_name="budget_warnings", editable=False, verbose_name=_("tenant")
    )
    user = models.ForeignKey(
        User, models.CASCADE, null=True, related_name="budget_warnings", editable=False, verbose_name=_("user")
    )
    scope = models.CharField(_("budget of"), max_length=8, choices=BudgetScope, editable=False)
    subject = models.CharField(max_length=64, editable=False)
    name = models.CharField(_("name"), max_length=200, editable=False)
    month = models.CharField(_("month"), max_length=7, editable=False)
    threshold = models.PositiveSmallIntegerField(_("threshold (%)"), editable=False)
    limit = models.BigIntegerField(_("limit"), editable=False)
    used = models.PositiveBigIntegerField(_("used"), editable=False)
    mode = models.CharField(_("budget mode"), max_length=4, choices=BudgetMode, editable=False)
    created_at = models.DateTimeField(_("time"), auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = _("budget warning")
        verbose_name_plural = _("budget warnings")
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "subject", "month", "threshold", "limit"], name="one_warning_per_threshold"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name}: {self.threshold} % of {self.month}"

    @property
    def resets_at(self) -> datetime:
        """When the budget starts anew, in the tenant's time zone."""
        year, number = divmod(int(self.month[:4]) * 12 + int(self.month[5:]), 12)
        return datetime(year, number + 1, 1, tzinfo=ZoneInfo(self.tenant.time_zone))

    @property
    def used_percent(self) -> float:
        """Rounded down: 99.9 is not everything."""
        return int(1000 * self.used / self.limit) / 10 if self.limit > 0 else 100.0

    def recipients(self) -> list[str]:
        return addresses(self.tenant_id, self.user_id)


class DeliveryQuerySet(models.QuerySet["WarningDelivery"]):
    def waiting(self) -> "DeliveryQuerySet":
        """Neither delivered nor given up."""
        return self.filter(delivered_at=None, given_up_at=None)

    def claim(self, pk: int) -> "WarningDelivery | None":
        """Make the next attempt ours, for whoever counts it first; None if it is not due, or somebody else's."""
        now = timezone.now()
        claimed = (
            self.waiting().filter(pk=pk, due_at__lte=now).update(attempts=F("attempts") + 1, due_at=now + LONGEST_PAUSE)
        )
        return self.select_related("warning__tenant", "warning__user").get(pk=pk) if claimed else None


class WarningDelivery(models.Model):
    """One warning on its way to one address; what failed is tried again for a day.

    An attempt is committed before anything is sent, so two workers never send the same one. A worker that dies between
    sending and noting so is the only way to a second copy; webhooks recognize it by its id.
    """

    class Channel(models.TextChoices):
        MAIL = "mail", _("Mail")
        WEBHOOK = "webhook", _("Webhook")

    warning = models.ForeignKey(BudgetWarning, models.CASCADE, related_name="deliveries", editable=False)
    channel = models.CharField(_("by"), max_length=8, choices=Channel, editable=False)
    address = models.CharField(
        _("to"), max_length=254, blank=True, editable=False, help_text=_("Empty for a webhook: the tenant has it.")
    )
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0, editable=False)
    due_at = models.DateTimeField(_("next attempt"), default=timezone.now, editable=False)
    delivered_at = models.DateTimeField(_("delivered"), null=True, editable=False)
    given_up_at = models.DateTimeField(_("given up"), null=True, editable=False)
    error = models.CharField(_("last problem"), max_length=200, blank=True, editable=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [
            models.UniqueConstraint(fields=["warning", "channel", "address"], name="one_delivery_per_address")
        ]

    def __str__(self) -> str:
        return f"{self.warning_id} by {self.channel}"

    @property
    def message_id(self) -> str:
        """The same for every attempt, so that a receiver can recognize a second copy."""
        return f"bw_{self.warning_id}_{self.pk}"

    def delivered(self) -> None:
        self._note(delivered_at=timezone.now(), error="")

    def failed(self, problem: str) -> None:
        """Try again after a pause that doubles from a minute to half an hour, and give up after a day."""
        now = timezone.now()
        if now - self.warning.created_at >= GIVEN_UP_AFTER:
            self.give_up(problem)
        else:
            pause = min(LONGEST_PAUSE, timedelta(minutes=2 ** min(self.attempts - 1, 10)))
            self._note(error=problem, due_at=now + pause)

    def give_up(self, problem: str) -> None:
        self._note(error=problem, given_up_at=timezone.now())

    def _note(self, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(self, name, value[:200] if isinstance(value, str) else value)
        self.save(update_fields=list(fields))
