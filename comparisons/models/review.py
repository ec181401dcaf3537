import secrets
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from comparisons.models.answer import AnswerStatus

if TYPE_CHECKING:
    from comparisons.models.comparison import Comparison


class BlindReviewQuerySet(models.QuerySet["BlindReview"]):
    def shown_to(self, reviewer: User, comparison: "Comparison") -> "BlindReview":
        """What this reviewer sees of a comparison: the slots that answered, shuffled at the first look, then kept."""
        slots = list(comparison.answers.filter(status=AnswerStatus.OK).values_list("slot", flat=True))
        secrets.SystemRandom().shuffle(slots)
        review, _created = self.get_or_create(comparison=comparison, reviewer=reviewer, defaults={"order": slots})
        return review


class BlindReview(models.Model):
    """The order in which a comparison's answers are shown, without names, to one reviewer: the same at every look."""

    comparison = models.ForeignKey(
        "comparisons.Comparison", models.CASCADE, related_name="blind_reviews", verbose_name=_("comparison")
    )
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="blind_reviews", verbose_name=_("reviewer")
    )
    order = models.JSONField(_("order shown"), help_text=_("Slots, from left to right."))
    created_at = models.DateTimeField(_("time"), auto_now_add=True)

    objects = BlindReviewQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("blind review")
        verbose_name_plural = _("blind reviews")
        constraints = [models.UniqueConstraint(fields=["comparison", "reviewer"], name="one_order_per_reviewer")]

    def __str__(self) -> str:
        return f"{self.comparison_id} for {self.reviewer}"
