from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.errors import InvalidRequest, NotFound
from accounts.models import User

if TYPE_CHECKING:
    from comparisons.models.comparison import Comparison

# Characters: pages long, and no place to store files.
LONGEST_TEXT = 10_000


def clean_text(text: str, param: str) -> str:
    """Without what databases refuse, and without space around it; raises InvalidRequest where it is too long."""
    text = text.replace("\0", "").strip()
    if len(text) > LONGEST_TEXT:
        raise InvalidRequest(f"Shorten the note to {LONGEST_TEXT:,} characters; it has {len(text):,}.", param=param)
    return text


class NoteQuerySet(models.QuerySet["Note"]):
    def write(self, comparison: "Comparison", author: User, text: str) -> "Note":
        """Add a note; raises InvalidRequest for an empty or a very long one, NotFound for another tenant's author."""
        if author.tenant_id is None or author.tenant_id != comparison.tenant_id:
            raise NotFound("There is no such comparison. List yours with GET /v1/comparisons.")
        text = clean_text(text, "text")
        if not text:
            raise InvalidRequest("The note is empty. Write something first.", param="text")
        return self.create(comparison=comparison, author=author, author_name=author.username, text=text)


class Note(models.Model):
    """What somebody wrote beside a comparison."""

    comparison = models.ForeignKey(
        "comparisons.Comparison", models.CASCADE, related_name="notes", verbose_name=_("comparison")
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="comparison_notes",
        verbose_name=_("author"),
    )
    author_name = models.CharField(_("author"), max_length=150)
    text = models.TextField(_("text"))
    created_at = models.DateTimeField(_("time"), auto_now_add=True)

    objects = NoteQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "pk"]
        verbose_name = _("note")
        verbose_name_plural = _("notes")

    def __str__(self) -> str:
        return self.text[:80]
