from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Tenant


class ComparisonTag(models.Model):
    """A word that a comparison is filed under. The tenant is a copy, so that one index finds a tenant's tag."""

    comparison = models.ForeignKey(
        "comparisons.Comparison", models.CASCADE, related_name="tags", verbose_name=_("comparison")
    )
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="+", db_index=False, verbose_name=_("tenant"))
    name = models.CharField(_("tag"), max_length=64)

    class Meta:
        ordering = ["name"]
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        constraints = [models.UniqueConstraint(fields=["comparison", "name"], name="a_tag_once")]
        indexes = [models.Index(fields=["tenant", "name", "comparison"], name="comparison_by_tag")]

    def __str__(self) -> str:
        return self.name
