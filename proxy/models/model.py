from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import ConfigurationQuerySet, Tenant
from proxy.models.provider import Provider, validate_name


class Model(models.Model):
    """One model of one provider, under the name that callers use."""

    name = models.CharField(
        _("name"),
        max_length=200,
        unique=True,
        validators=[validate_name],
        help_text=_("What callers say, for example openai/gpt-4o-mini."),
    )
    provider = models.ForeignKey(Provider, models.CASCADE, related_name="models", verbose_name=_("provider"))
    upstream_name = models.CharField(
        _("upstream name"), max_length=200, help_text=_("What the provider calls it, for example gpt-4o-mini.")
    )
    input_price_per_mtok = models.DecimalField(
        _("input price"),
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=_("US dollars for a million tokens. Empty: litellm's price table."),
    )
    output_price_per_mtok = models.DecimalField(
        _("output price"),
        max_digits=12,
        decimal_places=6,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=_("US dollars for a million tokens. Empty: litellm's price table."),
    )
    context_window = models.PositiveIntegerField(
        _("context window"), null=True, blank=True, help_text=_("Tokens. Empty: litellm's table.")
    )
    max_output_tokens = models.PositiveIntegerField(
        _("longest answer"), null=True, blank=True, help_text=_("Tokens. Empty: litellm's table.")
    )
    tenants = models.ManyToManyField(
        Tenant, related_name="models", blank=True, verbose_name=_("tenants"), help_text=_("Empty: every tenant.")
    )
    is_active = models.BooleanField(_("active"), default=True)

    objects = ConfigurationQuerySet["Model"].as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("model")
        verbose_name_plural = _("models")

    def __str__(self) -> str:
        return self.name
