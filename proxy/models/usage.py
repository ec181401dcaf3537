"""The ledger of record: one row for every accepted request, and where the stream of usage events was read up to."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    """How a request ended."""

    OK = "ok", _("Answered")
    CACHED = "cached", _("Answered from the cache")
    FAILED = "failed", _("Every model failed")
    REJECTED = "rejected", _("The model refused the request")
    CUT = "cut", _("Broke off in mid-answer")
    CLIENT_CLOSED = "client_closed", _("The caller hung up")
    CRASHED = "crashed", _("The gateway process died")


class Quality(models.TextChoices):
    """Where the token counts come from."""

    REPORTED = "reported", _("Reported by the provider")
    COUNTED = "counted", _("Counted by us")
    ESTIMATED = "estimated", _("Estimated by us")


class Usage(models.Model):
    """One accepted request, written once by `proxy.usage.drain`. Names are copies: the row outlives what it names."""

    request_id = models.CharField(_("request id"), max_length=40, unique=True)
    created_at = models.DateTimeField(_("time"), db_index=True)
    month = models.CharField(
        _("month"), max_length=7, help_text=_("YYYY-MM in the tenant's time zone, fixed at admission.")
    )
    tenant_id = models.BigIntegerField(null=True, blank=True)
    tenant_name = models.CharField(_("tenant"), max_length=64, blank=True)
    user_id = models.BigIntegerField(null=True, blank=True)
    username = models.CharField(_("user"), max_length=150, blank=True)
    key_id = models.UUIDField(null=True, blank=True)
    key_name = models.CharField(_("key"), max_length=100, blank=True)
    endpoint = models.CharField(_("endpoint"), max_length=32, default="chat")
    chain = models.CharField(_("chain"), max_length=200, blank=True)
    requested_model = models.CharField(_("requested model"), max_length=200)
    served_model = models.CharField(_("served by"), max_length=200, blank=True)
    provider = models.CharField(_("provider"), max_length=64, blank=True)
    status = models.CharField(_("status"), max_length=16, choices=Status)
    error_code = models.CharField(_("error code"), max_length=100, blank=True)
    prompt_tokens = models.PositiveBigIntegerField(_("prompt tokens"), default=0)
    completion_tokens = models.PositiveBigIntegerField(_("completion tokens"), default=0)
    cached_tokens = models.PositiveBigIntegerField(_("cached prompt tokens"), default=0)
    reasoning_tokens = models.PositiveBigIntegerField(_("reasoning tokens"), default=0)
    quality = models.CharField(_("token counts"), max_length=10, choices=Quality, default=Quality.REPORTED)
    cost_microusd = models.PositiveBigIntegerField(_("cost (micro-dollars)"), default=0)
    input_price_per_mtok = models.DecimalField(_("input price used"), max_digits=12, decimal_places=6, null=True)
    output_price_per_mtok = models.DecimalField(_("output price used"), max_digits=12, decimal_places=6, null=True)
    latency_ms = models.PositiveIntegerField(_("latency (ms)"), default=0)
    first_token_ms = models.PositiveIntegerField(_("time to first token (ms)"), null=True)
    streamed = models.BooleanField(_("streamed"), default=False)
    attempts = models.JSONField(_("attempts"), default=list)
    tags = models.JSONField(_("tags"), default=list)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("usage record")
        verbose_name_plural = _("usage")
        # For lists that show the newest first: what most rows have in common is met soon without an index, what few
        # rows have is found by a small one. Each of the admin's filters so takes milliseconds at a million rows.
        indexes = [
            models.Index(fields=["tenant_id", "-created_at"], name="usage_by_tenant"),
            models.Index(fields=["user_id", "-created_at"], name="usage_by_user"),
            models.Index(fields=["key_id", "-created_at"], name="usage_by_key"),
            models.Index(fields=["status", "-created_at"], name="usage_not_ok", condition=~models.Q(status="ok")),
            models.Index(fields=["username"], name="usage_by_username"),
            models.Index(fields=["chain"], name="usage_by_chain"),
            models.Index(fields=["served_model"], name="usage_by_served_model"),
            models.Index(fields=["provider"], name="usage_by_provider"),
        ]

    def __str__(self) -> str:
        return self.request_id

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class StreamPosition(models.Model):
    """How far a reader has come: of the stream, moved in the transaction that writes the rows, or of the rows."""

    stream = models.CharField(max_length=32, primary_key=True)
    last_id = models.CharField(max_length=32, default="0-0")

    def __str__(self) -> str:
        return f"{self.stream} at {self.last_id}"


class DeadLetter(models.Model):
    """A usage event that the database refused, kept whole so that nothing is lost and nothing waits behind it."""

    stream_id = models.CharField(_("stream entry"), max_length=32, unique=True)
    payload = models.TextField(_("event"))
    error = models.TextField(_("error"))
    created_at = models.DateTimeField(_("time"), auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("dead letter")
        verbose_name_plural = _("dead letters")

    def __str__(self) -> str:
        return self.stream_id
