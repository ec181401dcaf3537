"""Prompts and answers of plain calls, for tenants that want them stored."""

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import models
from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy as _

from accounts.models import Tenant

AT_ONCE = 500


class StoredBodyQuerySet(models.QuerySet["StoredBody"]):
    def for_request(self, request_id: str, tenant_id: int | None) -> "StoredBody | None":
        """What a request of this tenant was asked and answered; None where that is not stored, or not any more."""
        tenant = Tenant.objects.filter(pk=tenant_id).first() if tenant_id else None
        return self._kept_by(tenant).filter(request_id=request_id).first() if tenant else None

    def store(self, bodies: "Iterable[StoredBody]") -> None:
        """Write them but for those that are there."""
        self.bulk_create(bodies, ignore_conflicts=True, batch_size=100)

    def delete_expired(self, *, for_at_most_s: float) -> int:
        """Delete what its tenant no longer keeps, and what is of tenants that are gone; returns how many.

        In small transactions, so that nobody waits for long. What the time does not suffice for is left for later.
        """
        ends = time.monotonic() + for_at_most_s
        gone = self.filter(~Exists(Tenant.objects.filter(pk=OuterRef("tenant_id"))))
        deleted = gone._delete_until(ends)
        for tenant in Tenant.objects.all():
            of_tenant = self.filter(tenant_id=tenant.pk)
            if tenant.store_bodies_days:
                of_tenant = of_tenant.filter(created_at__lt=_kept_since(tenant))
            deleted += of_tenant._delete_until(ends)
        return deleted

    def _kept_by(self, tenant: Tenant) -> "StoredBodyQuerySet":
        if not tenant.store_bodies_days:
            return self.none()
        return self.filter(tenant_id=tenant.pk, created_at__gte=_kept_since(tenant))

    def _delete_until(self, ends: float) -> int:
        deleted = 0
        while time.monotonic() < ends and (batch := list(self.values_list("pk", flat=True)[:AT_ONCE])):
            deleted += StoredBody.objects.filter(pk__in=batch).delete()[0]
        return deleted


class StoredBody(models.Model):
    """What one request was asked and answered, written by `proxy.usage.drain` with its usage row.

    The bodies are JSON, in text columns: those take whatever JSON can say, where Postgres's own JSON refuses NUL
    characters. One that is too long to be stored is "", and only its length is known.
    """

    request_id = models.CharField(_("request id"), max_length=40, unique=True)
    tenant_id = models.BigIntegerField()
    created_at = models.DateTimeField(_("time"))
    request_json = models.TextField(_("request"), blank=True)
    request_bytes = models.PositiveIntegerField(default=0)
    answer_json = models.TextField(_("answer"), blank=True)
    answer_bytes = models.PositiveIntegerField(default=0)

    objects = StoredBodyQuerySet.as_manager()

    class Meta:
        verbose_name = _("stored body")
        verbose_name_plural = _("stored bodies")
        indexes = [models.Index(fields=["tenant_id", "created_at"], name="body_by_tenant")]

    def __str__(self) -> str:
        return self.request_id

    @property
    def request(self) -> dict[str, Any] | None:
        """The caller's body, as it was sent; None where it is too long to be stored."""
        return _read(self.request_json)

    @property
    def answer(self) -> dict[str, Any] | None:
        """The chat.completion, of a stream put together; None where there was none, or it is too long to be stored.

        Of an answer that broke off, what had come: its choices have no finish_reason.
        """
        return _read(self.answer_json)

    @property
    def parts(self) -> list[tuple[str, str, bool, int]]:
        """For people: the title of each body, its JSON to read, whether it was too long, and its length in bytes."""
        return [
            (gettext("Request"), _pretty(self.request), self.is_request_too_long, self.request_bytes),
            (gettext("Answer"), _pretty(self.answer), self.is_answer_too_long, self.answer_bytes),
        ]

    @property
    def is_request_too_long(self) -> bool:
        return bool(self.request_bytes) and not self.request_json

    @property
    def is_answer_too_long(self) -> bool:
        return bool(self.answer_bytes) and not self.answer_json


def _kept_since(tenant: Tenant) -> datetime:
    return timezone.now() - timedelta(days=tenant.store_bodies_days)


def _pretty(body: dict[str, Any] | None) -> str:
    return orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() if body else ""


def _read(text: str) -> dict[str, Any] | None:
    body: dict[str, Any] | None = orjson.loads(text) if text else None
    return body
