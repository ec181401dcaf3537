from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import ConfigurationQuerySet, Tenant
from proxy.models.model import Model
from proxy.models.provider import validate_name


class StreamGuard(models.TextChoices):
    LIVE = "live", _("Live: stream at once")
    BUFFERED = "buffered", _("Buffered: hold the answer until it is whole")


class ModelChain(models.Model):
    """An ordered list of models under one name: if one fails, the next answers."""

    name = models.CharField(_("name"), max_length=200, unique=True, validators=[validate_name])
    is_active = models.BooleanField(_("active"), default=True)
    public = models.BooleanField(_("public"), default=False, help_text=_("May anonymous callers use it?"))
    tenants = models.ManyToManyField(
        Tenant, related_name="chains", blank=True, verbose_name=_("tenants"), help_text=_("Empty: every tenant.")
    )
    cache_ttl_s = models.PositiveIntegerField(
        _("cache answers for (seconds)"), default=300, help_text=_("0: answers are not cached.")
    )
    cache_streams = models.BooleanField(
        _("answer streams from the cache"),
        default=False,
        help_text=_("Give a cached answer also to callers who asked for a stream. It then comes all at once."),
    )
    stream_guard = models.CharField(
        _("stream guard"),
        max_length=8,
        choices=StreamGuard,
        default=StreamGuard.LIVE,
        help_text=_(
            "Buffered answers can fall back even when a model breaks off in mid-answer; nothing is shown until the end."
        ),
    )
    default_max_tokens = models.PositiveIntegerField(
        _("default longest answer"),
        default=4096,
        validators=[MinValueValidator(1)],
        help_text=_("Tokens: the cap where the caller names none and a nearly spent budget needs one."),
    )
    clamp_max_tokens = models.BooleanField(
        _("clamp the longest answer"),
        default=False,
        help_text=_("Shorten max_tokens to what the budget has left, instead of refusing."),
    )
    deadline_s = models.FloatField(
        _("deadline (seconds)"),
        default=120,
        validators=[MinValueValidator(0.1)],
        help_text=_("Until the first content, all attempts together."),
    )
    fall_back_on_client_errors = models.BooleanField(
        _("fall back on the caller's errors"),
        default=False,
        help_text=_("Try the next model also when one refuses the request as wrong (400, 404, 422)."),
    )
    fall_back_on_content_policy = models.BooleanField(_("fall back on content-policy refusals"), default=False)

    objects = ConfigurationQuerySet["ModelChain"].as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("model chain")
        verbose_name_plural = _("model chains")

    def __str__(self) -> str:
        return self.name


class ChainLink(models.Model):
    """One model at one place of a chain, with the patience we have for it."""

    chain = models.ForeignKey(ModelChain, models.CASCADE, related_name="links", verbose_name=_("chain"))
    model = models.ForeignKey(Model, models.PROTECT, related_name="links", verbose_name=_("model"))
    position = models.PositiveIntegerField(_("position"), default=0, db_index=True)
    connect_timeout_s = models.FloatField(_("connect timeout (s)"), default=5, validators=[MinValueValidator(0.05)])
    first_token_timeout_s = models.FloatField(
        _("first token timeout (s)"),
        default=60,
        validators=[MinValueValidator(0.05)],
        help_text=_("Until the answer begins; for a call that does not stream, until it is there."),
    )
    stall_timeout_s = models.FloatField(
        _("stall timeout (s)"),
        default=60,
        validators=[MinValueValidator(0.05)],
        help_text=_("The longest silence in a streamed answer."),
    )
    retry_after_max_s = models.FloatField(
        _("longest wait for Retry-After (s)"),
        default=0,
        validators=[MinValueValidator(0)],
        help_text=_(
            "How long to wait for a rate-limited model before asking the next. "
            "The last link always waits, within the deadline."
        ),
    )

    objects = ConfigurationQuerySet["ChainLink"].as_manager()

    class Meta:
        ordering = ["position", "pk"]
        verbose_name = _("link")
        verbose_name_plural = _("links")

    def __str__(self) -> str:
        return f"{self.position + 1}. {self.model}"
