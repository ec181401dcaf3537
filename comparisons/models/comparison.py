import re
import time
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Tenant, User
from comparisons.models.answer import Answer, AnswerStatus, usd
from comparisons.models.tag import ComparisonTag
from comparisons.models.vote import Verdict, Vote

# Enough to recognise a prompt and to search it; the messages keep all of it.
PROMPT_LENGTH = 10_000
TITLE_LENGTH = 200
PREVIEW_LENGTH = 500
MOST_SLOT = 32_767  # what the column can hold


class Status(models.TextChoices):
    """How far a comparison has come."""

    RUNNING = "running", _("Running")
    COMPLETE = "complete", _("Complete")
    PARTIAL = "partial", _("Partial: some models failed")
    FAILED = "failed", _("Failed: no model answered")
    INTERRUPTED = "interrupted", _("Interrupted")


class Source(models.TextChoices):
    """Where a comparison was asked for."""

    API = "api", _("API")
    PLAYGROUND = "playground", _("Playground")
    CHAT = "chat", _("Chat completion")


COMPARISON_ID = re.compile(r"cmp_[0-9a-f]{32}")


def new_comparison_id() -> str:
    """The first twelve hexadecimal characters are a millisecond clock, so that ids sort by time."""
    return f"cmp_{time.time_ns() // 1_000_000:012x}{uuid.uuid4().hex[:20]}"


class ComparisonQuerySet(models.QuerySet["Comparison"]):
    def of_tenant(self, tenant_id: int | None) -> Self:
        """The tenant's own; none for somebody who has no tenant."""
        return self.filter(tenant_id=tenant_id) if tenant_id is not None else self.none()

    def with_id(self, comparison_id: str) -> Self:
        """The one with this id, which may be anything that somebody put into an address."""
        return self.none() if "\0" in comparison_id else self.filter(pk=comparison_id)

    def search(
        self,
        *,
        text: str = "",
        model: str = "",
        tag: str = "",
        author: str = "",
        winner: str = "",
        status: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Self:
        """What meets every filter given. Use it on `of_tenant`.

        `text`: words that title or prompt contain, all of them. `model`: asked or answered in any slot. `author`: a
        username. `winner`: a model or slot that somebody voted for, or `tie` or `all_bad`. `since` is included, `until`
        is not.
        """
        found = self.containing(text)
        if model:
            found = found.filter(Exists(_answers().filter(_of_model(model))))
        if tag:
            found = found.filter(Exists(ComparisonTag.objects.filter(comparison=OuterRef("pk"), name=tag)))
        if author:
            found = found.filter(author_name=author)
        if winner:
            found = found.won_by(winner)
        if status:
            found = found.filter(status=status)
        if since:
            found = found.filter(created_at__gte=since)
        if until:
            found = found.filter(created_at__lt=until)
        return found

    def containing(self, text: str) -> Self:
        """Every word of the text is part of the title or the prompt, in upper or lower case.

        On PostgreSQL a trigram index answers this (migration 0002); SQLite reads the rows.
        """
        found = self
        for word in text.split():
            found = found.filter(Q(title__icontains=word) | Q(prompt__icontains=word))
        return found

    def won_by(self, winner: str) -> Self:
        """Of which at least one vote named this model or this slot's number, or is this verdict."""
        votes = Vote.objects.filter(comparison=OuterRef("pk"))
        if winner in (Verdict.TIE, Verdict.ALL_BAD):
            return self.filter(Exists(votes.filter(verdict=winner)))
        if winner.isascii() and winner.isdigit():
            return self.filter(Exists(votes.filter(verdict=Verdict.SLOT, winner=min(int(winner[:9]), MOST_SLOT))))
        won = Vote.objects.filter(comparison=OuterRef("comparison"), verdict=Verdict.SLOT, winner=OuterRef("slot"))
        return self.filter(Exists(_answers().filter(_of_model(winner)).filter(Exists(won))))

    def to_review_by(self, reviewer: User) -> Self:
        """Finished, with two answers or more to choose from, and without a vote of this reviewer."""
        answered = Answer.objects.filter(comparison=OuterRef("pk"), status=AnswerStatus.OK).order_by()
        several = answered.values("comparison").annotate(count=Count("pk")).filter(count__gt=1)
        ripe = Q(status=Status.COMPLETE) | Q(Exists(several), status__in=[Status.PARTIAL, Status.INTERRUPTED])
        return self.filter(ripe, ~Exists(Vote.objects.filter(comparison=OuterRef("pk"), voter=reviewer)))

    def before(self, after: str) -> Self:
        """The page that follows the comparison with this id, when the newest come first."""
        return self.filter(pk__lt=after) if after else self


def _answers() -> models.QuerySet[Answer]:
    return Answer.objects.filter(comparison=OuterRef("pk"))


def _of_model(name: str) -> Q:
    return Q(requested_model=name) | Q(resolved_model=name)


class Comparison(models.Model):
    """One prompt, answered by several models. Names are copies: the row outlives its author."""

    id = models.CharField(primary_key=True, max_length=40, default=new_comparison_id, editable=False)
    tenant = models.ForeignKey(
        Tenant, models.CASCADE, related_name="comparisons", db_index=False, verbose_name=_("tenant")
    )
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="comparisons",
        verbose_name=_("author"),
    )
    author_name = models.CharField(_("author"), max_length=150, blank=True)
    title = models.CharField(_("title"), max_length=TITLE_LENGTH, blank=True)
    messages = models.JSONField(_("messages"), default=list)
    prompt = models.TextField(
        _("prompt"), blank=True, help_text=_("The text of the last message of the user, for lists and search.")
    )
    params = models.JSONField(_("parameters"), default=dict, blank=True, help_text=_("For every slot."))
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.RUNNING)
    source = models.CharField(_("source"), max_length=16, choices=Source, default=Source.API)
    successor_of = models.ForeignKey(
        "self", models.SET_NULL, null=True, blank=True, related_name="successors", verbose_name=_("re-run of")
    )
    from_request = models.CharField(
        _("from request"), max_length=40, blank=True, help_text=_("The request whose stored answer is slot A.")
    )
    streamed = models.BooleanField(_("streamed"), default=False)
    cache = models.BooleanField(_("cache"), default=False, help_text=_("Whether cached answers were welcome."))
    fallbacks = models.BooleanField(
        _("fallbacks"), default=False, help_text=_("Whether another model of a chain may answer for the first.")
    )
    timeout_s = models.FloatField(_("timeout (s)"), null=True, blank=True, help_text=_("For each slot."))
    process = models.CharField(max_length=64, blank=True, editable=False)
    created_at = models.DateTimeField(_("time"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    wall_ms = models.PositiveIntegerField(_("wall time (ms)"), null=True, blank=True)
    cost_microusd = models.PositiveBigIntegerField(_("cost (micro-dollars)"), default=0)

    objects = ComparisonQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("comparison")
        verbose_name_plural = _("comparisons")
        # Lists show the newest first, of one tenant. What is running is swept, and is never much.
        indexes = [
            models.Index(fields=["tenant", "id"], name="comparison_by_tenant"),
            models.Index(fields=["tenant", "author_name", "id"], name="comparison_by_author"),
            models.Index(fields=["tenant", "status", "id"], name="comparison_by_status"),
            models.Index(fields=["tenant", "created_at"], name="comparison_by_time"),
            models.Index(fields=["process"], name="comparison_running", condition=Q(status="running")),
        ]

    def __str__(self) -> str:
        return self.title or self.prompt[:80] or self.id

    @property
    def is_running(self) -> bool:
        return self.status == Status.RUNNING

    def rename(self, title: str) -> None:
        """Save a title: one line, cut where it is too long. Where it is empty the prompt stands for it."""
        line = "".join(character for character in " ".join(title.split()) if character.isprintable())
        self.title = line[:TITLE_LENGTH]
        self.save(update_fields=["title"])

    def end(self, answers: Sequence[Answer], *, interrupted: bool = False) -> None:
        """Set what its answers make of it (not saved yet). Answers that were still running are interrupted."""
        for answer in answers:
            if answer.status == AnswerStatus.RUNNING:
                answer.status, interrupted = AnswerStatus.INTERRUPTED, True
        ok = sum(answer.status == AnswerStatus.OK for answer in answers)
        self.status = (
            Status.INTERRUPTED
            if interrupted
            else Status.COMPLETE
            if ok == len(answers)
            else Status.PARTIAL
            if ok
            else Status.FAILED
        )
        self.cost_microusd = sum(answer.cost_microusd for answer in answers)
        self.finished_at = timezone.now()

    def public(
        self, answers: Sequence[Answer], tags: Sequence[str], url: str = "", *, whole: bool = True
    ) -> dict[str, Any]:
        """The contract's comparison; without the answers' texts where they are not wanted `whole`."""
        return {
            "id": self.pk,
            "object": "comparison",
            "status": self.status,
            "title": self.title,
            "prompt": self.prompt if whole else self.prompt[:PREVIEW_LENGTH],
            "tags": list(tags),
            "author": self.author_name,
            "source": self.source,
            "created_at": self.created_at.isoformat(),
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
            "successor_of": self.successor_of_id,
            "from_request": self.from_request or None,
            "url": url,
            "answers": [answer.public(whole=whole) for answer in answers],
            "summary": self.summary(answers),
        }

    def summary(self, answers: Sequence[Answer]) -> dict[str, Any]:
        """Counts, and the slots that were fastest and cheapest: several where they are equal."""
        answered = [answer for answer in answers if answer.status == AnswerStatus.OK]
        return {
            "ok": len(answered),
            "failed": sum(answer.status in {AnswerStatus.ERROR, AnswerStatus.INTERRUPTED} for answer in answers),
            "fastest": _least({answer.slot: answer.latency_ms for answer in answered}),
            "cheapest": _least({answer.slot: answer.cost_microusd for answer in answered}),
            "wall_ms": self.wall_ms,
            "cost_usd": usd(self.cost_microusd),
        }


def _least(values: dict[int, int | None]) -> list[int]:
    known = [value for value in values.values() if value is not None]
    return [slot for slot, value in values.items() if known and value == min(known)]
