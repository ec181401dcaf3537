from decimal import Decimal
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class AnswerStatus(models.TextChoices):
    RUNNING = "running", _("Running")
    OK = "ok", _("Answered")
    ERROR = "error", _("Failed")
    INTERRUPTED = "interrupted", _("Interrupted")


class Answer(models.Model):
    """One slot of a comparison: the model that was asked, and what became of it. Times are in milliseconds."""

    comparison = models.ForeignKey(
        "comparisons.Comparison", models.CASCADE, related_name="answers", verbose_name=_("comparison")
    )
    slot = models.PositiveSmallIntegerField(_("slot"))
    label = models.CharField(_("label"), max_length=100)
    requested_model = models.CharField(_("requested model"), max_length=200)
    params = models.JSONField(_("parameters"), default=dict, blank=True, help_text=_("Of this slot alone."))
    request_id = models.CharField(
        _("request id"), max_length=40, blank=True, db_index=True, help_text=_("Its row in the usage records.")
    )
    resolved_model = models.CharField(_("answered by"), max_length=200, blank=True)
    provider = models.CharField(_("provider"), max_length=64, blank=True)
    status = models.CharField(_("status"), max_length=16, choices=AnswerStatus, default=AnswerStatus.RUNNING)
    response = models.JSONField(_("response"), null=True, blank=True, help_text=_("The whole chat.completion."))
    content = models.TextField(_("content"), blank=True)
    error = models.JSONField(
        _("error"), null=True, blank=True, help_text=_("As {type, code, status, message}; empty where it answered.")
    )
    usage = models.JSONField(_("usage"), null=True, blank=True)
    prompt_tokens = models.PositiveBigIntegerField(_("prompt tokens"), default=0)
    completion_tokens = models.PositiveBigIntegerField(_("completion tokens"), default=0)
    ttft_ms = models.PositiveIntegerField(_("time to first token (ms)"), null=True, blank=True)
    latency_ms = models.PositiveIntegerField(_("total time (ms)"), null=True, blank=True)
    output_tokens_per_s = models.FloatField(_("tokens per second"), null=True, blank=True)
    cost_microusd = models.PositiveBigIntegerField(_("cost (micro-dollars)"), default=0)

    class Meta:
        ordering = ["comparison", "slot"]
        verbose_name = _("answer")
        verbose_name_plural = _("answers")
        constraints = [models.UniqueConstraint(fields=["comparison", "slot"], name="one_answer_per_slot")]
        indexes = [
            models.Index(fields=["requested_model", "comparison"], name="answer_by_requested"),
            models.Index(fields=["resolved_model", "comparison"], name="answer_by_resolved"),
        ]

    def __str__(self) -> str:
        return f"{self.letter}: {self.requested_model}"

    @property
    def letter(self) -> str:
        """A to J."""
        return chr(ord("A") + self.slot)

    @property
    def cost_usd(self) -> Decimal:
        return Decimal(self.cost_microusd) / 1_000_000

    def public(self, *, whole: bool = True) -> dict[str, Any]:
        """The contract's entry; without the response's own body where it is not wanted `whole`."""
        return {
            "slot": self.slot,
            "label": self.label,
            "requested_model": self.requested_model,
            "params": self.params,
            "resolved_model": self.resolved_model or None,
            "provider": self.provider or None,
            "request_id": self.request_id or None,
            "status": self.status,
            **({"response": self.response, "content": self.content} if whole else {}),
            "metrics": {
                "ttft_ms": self.ttft_ms,
                "latency_ms": self.latency_ms,
                "output_tokens_per_s": self.output_tokens_per_s,
            },
            "usage": self.usage,
            "cost_usd": usd(self.cost_microusd),
            "error": self.error,
        }


def usd(microusd: int) -> str:
    """As the contract writes money: US dollars with six decimals."""
    return f"{Decimal(microusd) / 1_000_000:.6f}"
