from datetime import timedelta

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class MonthlyTallyQuerySet(models.QuerySet["MonthlyTally"]):
    def forget_addresses(self) -> int:
        """Delete what addresses used before last month: it counts no more. Returns how many rows went."""
        last_month = (timezone.now().replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
        return self.filter(scope="ip", month__lt=last_month).delete()[0]


class MonthlyTally(models.Model):
    """What one subject used in one month: the sum of its usage rows, added up in the transaction that writes them."""

    scope = models.CharField(_("scope"), max_length=8)
    subject = models.CharField(
        _("subject"), max_length=64, help_text=_("The tenant's, user's or key's id, or an address.")
    )
    month = models.CharField(_("month"), max_length=7)
    requests = models.PositiveBigIntegerField(_("requests"), default=0)
    prompt_tokens = models.PositiveBigIntegerField(_("prompt tokens"), default=0)
    completion_tokens = models.PositiveBigIntegerField(_("completion tokens"), default=0)
    cached_tokens = models.PositiveBigIntegerField(_("cached prompt tokens"), default=0)
    cost_microusd = models.PositiveBigIntegerField(_("cost (micro-dollars)"), default=0)

    objects = MonthlyTallyQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "subject", "month"], name="one_tally_per_month")]
        verbose_name = _("monthly tally")
        verbose_name_plural = _("monthly tallies")

    def __str__(self) -> str:
        return f"{self.scope} {self.subject}, {self.month}"

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens
