from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Verdict(models.TextChoices):
    SLOT = "slot", _("One is best")
    TIE = "tie", _("Tie")
    ALL_BAD = "all_bad", _("All bad")


class Vote(models.Model):
    """One person's verdict on a comparison; a later one replaces it. The name is a copy, for it outlives its voter."""

    comparison = models.ForeignKey(
        "comparisons.Comparison", models.CASCADE, related_name="votes", verbose_name=_("comparison")
    )
    voter = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="comparison_votes",
        verbose_name=_("voter"),
    )
    voter_name = models.CharField(_("voter"), max_length=150)
    verdict = models.CharField(_("verdict"), max_length=8, choices=Verdict)
    winner = models.PositiveSmallIntegerField(
        _("winner"), null=True, blank=True, help_text=_("The slot that won; empty for a tie and for all bad.")
    )
    blind = models.BooleanField(_("blind"), default=False, help_text=_("Whether names were hidden from the voter."))
    order = models.JSONField(_("order shown"), default=list, blank=True, help_text=_("Slots, from left to right."))
    note = models.TextField(_("note"), blank=True)
    created_at = models.DateTimeField(_("time"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        ordering = ["created_at"]
        verbose_name = _("vote")
        verbose_name_plural = _("votes")
        constraints = [
            models.UniqueConstraint(fields=["comparison", "voter"], name="one_vote_per_voter"),
            models.CheckConstraint(
                name="a_winner_or_none",
                condition=Q(verdict="slot", winner__isnull=False) | (~Q(verdict="slot") & Q(winner__isnull=True)),
            ),
        ]

    def __str__(self) -> str:
        if self.winner is None:
            return str(Verdict(self.verdict).label)
        return chr(ord("A") + self.winner)
