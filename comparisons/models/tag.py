from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.db import connection, models, transaction
from django.utils.translation import gettext_lazy as _

from accounts.errors import InvalidRequest
from accounts.models import Tenant
from proxy.options import LONGEST_TAG, MOST_TAGS

if TYPE_CHECKING:
    from comparisons.models.comparison import Comparison


MOST_CHOICES = 200
# From one name to the next by the index: DISTINCT would read every tag of every comparison.
NAMES = """
WITH RECURSIVE names (name) AS (
    SELECT MIN(name) FROM {table} WHERE tenant_id = %(tenant)s
    UNION ALL
    SELECT (SELECT MIN(t.name) FROM {table} t WHERE t.tenant_id = %(tenant)s AND t.name > names.name)
    FROM names WHERE names.name IS NOT NULL
)
SELECT name FROM names WHERE name IS NOT NULL LIMIT %(limit)s
"""


class ComparisonTagQuerySet(models.QuerySet["ComparisonTag"]):
    def file(self, comparison: "Comparison", names: Iterable[str], *, instead: bool = False) -> None:
        """Add tags, or put them in the place of those there are; raises InvalidRequest for too many or long ones."""
        wanted = dict.fromkeys(name for name in map(_in_one_line, names) if name)
        if any(len(name) > LONGEST_TAG for name in wanted):
            raise InvalidRequest(f"Shorten the tag to {LONGEST_TAG} characters.", param="tags")
        known = set() if instead else set(comparison.tags.values_list("name", flat=True))
        if len(known.union(wanted)) > MOST_TAGS:
            raise InvalidRequest(f"A comparison has up to {MOST_TAGS} tags. Remove one first.", param="tags")
        rows = [ComparisonTag(comparison=comparison, tenant_id=comparison.tenant_id, name=name) for name in wanted]
        with transaction.atomic():
            if instead:
                comparison.tags.exclude(name__in=wanted).delete()
            self.bulk_create(rows, ignore_conflicts=True)

    def names(self, tenant_id: int | None) -> list[str]:
        """The tags of a tenant, each once and in order, as far as a list of choices is of use."""
        table = self.model._meta.db_table
        with connection.cursor() as cursor:
            cursor.execute(NAMES.format(table=table), {"tenant": tenant_id, "limit": MOST_CHOICES})
            return [name for (name,) in cursor]


def _in_one_line(text: str) -> str:
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


class ComparisonTag(models.Model):
    """A word that a comparison is filed under. The tenant is a copy, so that one index finds a tenant's tag."""

    comparison = models.ForeignKey(
        "comparisons.Comparison", models.CASCADE, related_name="tags", verbose_name=_("comparison")
    )
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="+", db_index=False, verbose_name=_("tenant"))
    name = models.CharField(_("tag"), max_length=LONGEST_TAG)

    objects = ComparisonTagQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        constraints = [models.UniqueConstraint(fields=["comparison", "name"], name="a_tag_once")]
        indexes = [models.Index(fields=["tenant", "name", "comparison"], name="comparison_by_tag")]

    def __str__(self) -> str:
        return self.name
