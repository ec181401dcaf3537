from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q, Sum
from django.utils.translation import gettext_lazy as _

from accounts.models.api_key import APIKey
from accounts.models.configuration import ConfigurationQuerySet
from accounts.models.tenant import Tenant
from accounts.models.user import User

validate_month = RegexValidator(r"^\d{4}-(0[1-9]|1[0-2])\Z", _("Write the month as YYYY-MM."))


class TopUpQuerySet(ConfigurationQuerySet["TopUp"]):
    def by_month(self, **subject: object) -> dict[str, int]:
        """The tokens added for a subject (`tenant=…`, `user=…` or `api_key=…`), by month."""
        sums = self.filter(**subject).values_list("month").annotate(tokens=Sum("tokens"))
        return dict(sums)


class TopUp(models.Model):
    """Tokens added to (or, below zero, taken from) one month of one budget: a row with who and why, never an edit.

    A reset is a top-up of what was spent.
    """

    tenant = models.ForeignKey(Tenant, models.CASCADE, null=True, blank=True, related_name="top_ups")
    user = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="top_ups")
    api_key = models.ForeignKey(APIKey, models.CASCADE, null=True, blank=True, related_name="top_ups")
    month = models.CharField(_("month"), max_length=7, validators=[validate_month], help_text=_("YYYY-MM."))
    tokens = models.BigIntegerField(_("tokens"))
    reason = models.CharField(_("reason"), max_length=200)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField(_("time"), auto_now_add=True)

    objects = TopUpQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("top-up")
        verbose_name_plural = _("top-ups")
        constraints = [
            models.CheckConstraint(
                name="top_up_of_one_budget",
                condition=Q(tenant__isnull=False, user__isnull=True, api_key__isnull=True)
                | Q(tenant__isnull=True, user__isnull=False, api_key__isnull=True)
                | Q(tenant__isnull=True, user__isnull=True, api_key__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"{self.tokens:+,} tokens for {self.subject}, {self.month}"

    @property
    def subject(self) -> Tenant | User | APIKey | None:
        return self.tenant or self.user or self.api_key

    def clean(self) -> None:
        if sum(subject is not None for subject in (self.tenant, self.user, self.api_key)) != 1:
            raise ValidationError(_("Name one budget: a tenant’s, a user’s or a key’s."))
