import os
import uuid
from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.encryption import seal, unseal
from accounts.models import ConfigurationQuerySet

# Django's own URL check refuses one-word hosts, which are usual inside a cluster: http://ollama:11434/v1.
validate_base_url = RegexValidator(
    r"^https?://[^\s/?#@]+(/[^\s?#]*)?\Z", _("Write an address such as https://api.openai.com/v1, without a query.")
)
validate_variable = RegexValidator(
    r"^[A-Z_][A-Z0-9_]*\Z",
    _("Write the variable’s name, for example OPENAI_API_KEY; the key itself does not belong here."),
)
validate_name = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9._:@/+-]*\Z",
    _("Use letters, digits and . _ : @ / + - only, starting with a letter or digit."),
)


class Wire(models.TextChoices):
    """How a provider is spoken to; `proxy.upstreams` has one module for each."""

    OPENAI = "openai", _("OpenAI's wire: bytes pass through")
    LITELLM = "litellm", _("Translated by litellm")
    DEMO = "demo", _("Built-in demo models")


class Provider(models.Model):
    """A service that runs models, and our credential for it: encrypted here, or named as an environment variable."""

    LIVE_FIELDS: ClassVar[frozenset[str]] = frozenset({"flagged_at", "flag"})

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=64, unique=True, validators=[validate_name])
    kind = models.CharField(
        _("kind"),
        max_length=64,
        help_text=_("The service as litellm names it: openai, anthropic, groq, gemini, azure, bedrock …"),
    )
    wire = models.CharField(_("wire"), max_length=16, choices=Wire, default=Wire.OPENAI)
    base_url = models.CharField(
        _("base URL"),
        blank=True,
        max_length=500,
        validators=[validate_base_url],
        help_text=_("For example https://api.openai.com/v1. Empty: the service's usual address."),
    )
    api_key_env = models.CharField(
        _("API key variable"),
        max_length=64,
        blank=True,
        validators=[validate_variable],
        help_text=_(
            "The environment variable that holds the key, for example OPENAI_API_KEY. A key stored here wins over it."
        ),
    )
    sealed_api_key = models.TextField(blank=True, editable=False)
    needs_key = models.BooleanField(
        _("needs a key"), default=True, help_text=_("Untick for servers without keys, such as Ollama or vLLM at home.")
    )
    is_active = models.BooleanField(_("active"), default=True)
    flag = models.CharField(_("problem"), max_length=200, blank=True, editable=False)
    flagged_at = models.DateTimeField(_("problem since"), null=True, blank=True, editable=False)

    objects = ConfigurationQuerySet["Provider"].as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("provider")
        verbose_name_plural = _("providers")

    def __str__(self) -> str:
        return self.name

    @property
    def _place(self) -> str:
        return f"proxy_provider:{self.pk}:api_key"

    def set_api_key(self, plain: str) -> None:
        """Store the key encrypted (not saved yet); an empty text removes it."""
        self.sealed_api_key = seal(plain, self._place) if plain else ""

    def api_key(self) -> str:
        """Our key for the provider, "" if there is none; raises CannotDecrypt."""
        if self.sealed_api_key:
            return unseal(self.sealed_api_key, self._place)
        return os.environ.get(self.api_key_env, "").strip() if self.api_key_env else ""
