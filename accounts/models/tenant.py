from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.configuration import ConfigurationQuerySet
from accounts.time_zones import validate_time_zone
from accounts.webhooks import validate_webhook_url

MOST_DAYS = 36_500


class BudgetMode(models.TextChoices):
    HARD = "hard", _("Hard: refuse requests that do not fit")
    SOFT = "soft", _("Soft: only warn")


class Tenant(models.Model):
    """A customer, team or department: users, keys and history never cross its border."""

    name = models.SlugField(
        _("name"), max_length=64, unique=True, help_text=_("Letters, digits, hyphens and underscores.")
    )
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("Untick to refuse all of its keys and users at once.")
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        default="UTC",
        validators=[validate_time_zone],
        help_text=_(
            "Budgets start anew at midnight on the first of the month in this zone, for example Europe/Berlin."
        ),
    )
    monthly_token_budget = models.PositiveBigIntegerField(
        _("monthly token budget"), null=True, blank=True, help_text=_("Tokens a calendar month. Empty: no limit.")
    )
    budget_mode = models.CharField(_("budget mode"), max_length=4, choices=BudgetMode, default=BudgetMode.HARD)
    requests_per_minute = models.PositiveIntegerField(
        _("requests per minute"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("For all of its users together. Empty: no limit."),
    )
    store_bodies_days = models.PositiveIntegerField(
        _("store prompts and answers for (days)"),
        default=0,
        validators=[MaxValueValidator(MOST_DAYS)],
        help_text=_(
            "0: prompts and answers of plain calls are not stored. Above: they are, word for word, for so many days; "
            "what is older is deleted every night. Operators and this tenant's administrators read them on the usage "
            "page of each request, and members can compare a request again. Comparisons are always stored."
        ),
    )
    keep_comparisons_days = models.PositiveIntegerField(
        _("keep comparisons for (days)"),
        default=0,
        validators=[MaxValueValidator(MOST_DAYS)],
        help_text=_(
            "Older comparisons are deleted every night, with their answers, votes and notes. 0: they are kept for ever."
        ),
    )
    webhook_url = models.CharField(
        _("webhook"),
        max_length=500,
        blank=True,
        validators=[validate_webhook_url],
        help_text=_("Budget warnings are posted here. An operator of the gateway sets it. Empty: none."),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = ConfigurationQuerySet["Tenant"].as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("tenant")
        verbose_name_plural = _("tenants")

    def __str__(self) -> str:
        return self.name
