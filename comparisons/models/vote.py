from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.errors import InvalidRequest, NotFound
from accounts.models import User
from comparisons.models.answer import AnswerStatus
from comparisons.models.note import clean_text

if TYPE_CHECKING:
    from comparisons.models.comparison import Comparison


class Verdict(models.TextChoices):
    SLOT = "slot", _("One is best")
    TIE = "tie", _("Tie")
    ALL_BAD = "all_bad", _("All bad")


class VoteQuerySet(models.QuerySet["Vote"]):
    def cast(
        self,
        comparison: "Comparison",
        voter: User,
        verdict: str,
        winner: int | None = None,
        *,
        note: str = "",
        blind: bool = False,
        order: Sequence[int] = (),
    ) -> "Vote":
        """Put down somebody's verdict, in place of the one from before.

        `winner`: the slot that won, where the verdict is `slot`. `order`: slots from left to right as the voter saw
        them; as they were asked unless given. Raises InvalidRequest for a verdict that the answers do not allow, and
        NotFound for somebody of another tenant.
        """
        if voter.tenant_id is None or voter.tenant_id != comparison.tenant_id:
            raise NotFound("There is no such comparison. List yours with GET /v1/comparisons.")
        answered = comparison.answers.filter(status=AnswerStatus.OK).order_by("slot")
        slots = list(answered.values_list("slot", flat=True))
        _check(comparison, slots, verdict, winner)
        vote, _created = self.update_or_create(
            comparison=comparison,
            voter=voter,
            defaults={
                "voter_name": voter.username,
                "verdict": verdict,
                "winner": winner if verdict == Verdict.SLOT else None,
                "note": clean_text(note, "note"),
                "blind": blind,
                "order": list(order) or slots,
            },
        )
        return vote


def _check(comparison: "Comparison", answered: list[int], verdict: str, winner: int | None) -> None:
    if comparison.is_running:
        raise InvalidRequest("The comparison is still running. Vote when its answers are there.", param="winner")
    if not answered:
        raise InvalidRequest("No model answered, so there is nothing to vote on. Run it again.", param="winner")
    if verdict not in Verdict.values:
        raise InvalidRequest('Vote for a slot, such as 0, or for "tie" or "all_bad".', param="winner")
    if verdict == Verdict.SLOT and winner not in answered:
        slots = ", ".join(str(slot) for slot in answered)
        raise InvalidRequest(f"Vote for a slot that answered: {slots}.", param="winner")


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

    objects = VoteQuerySet.as_manager()

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
