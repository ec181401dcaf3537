"""The version of everything that the hot path keeps in memory: accounts, providers, models, chains.

Every change of such a row bumps the version in its own transaction. A web process that reads the version first and the
rows afterwards therefore holds at least everything committed up to that version. The new version is published to Redis
after the commit, where each admission compares it (accounts/ledger); every process also polls the row once a second,
in case that publishing was lost.
"""

from typing import Any, TypeVar

from django.db import connection, models, transaction
from django.db.models import F
from django.db.models.signals import m2m_changed, post_delete, post_save

from accounts import redis

M = TypeVar("M", bound=models.Model)


class ConfigurationVersion(models.Model):
    """A single row (primary key 1) that counts the changes."""

    version = models.PositiveBigIntegerField(default=1)

    def __str__(self) -> str:
        return f"version {self.version}"

    @classmethod
    def current(cls) -> int:
        """The committed version; 0 before the first change.

        Every process asks once a second. In plain SQL that is a quarter of what it takes otherwise.
        """
        with connection.cursor() as cursor:
            cursor.execute("SELECT version FROM accounts_configurationversion WHERE id = 1")
            row = cursor.fetchone()
        return row[0] if row else 0

    @classmethod
    def bump(cls) -> None:
        """Count one change in the transaction that makes it, and publish it after the commit."""
        with transaction.atomic():
            if not cls._count():
                # Of two first changes at the same time, one waits here for the other to commit.
                ConfigurationVersion.objects.bulk_create([cls(pk=1, version=0)], ignore_conflicts=True)
                cls._count()
            transaction.on_commit(cls.publish)

    @classmethod
    def _count(cls) -> int:
        return cls.objects.filter(pk=1).update(version=F("version") + 1)

    @classmethod
    def raise_to(cls, version: int) -> None:
        """Count on from this version, where the database is behind it."""
        cls.objects.filter(pk=1, version__lt=version).update(version=version)

    @classmethod
    def publish(cls) -> None:
        redis.publish_configuration_version(cls.current())


class ConfigurationQuerySet(models.QuerySet[M]):
    """Counts bulk updates and inserts, for which Django sends no signals."""

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic():
            rows = super().update(**kwargs)
            if rows and not _only_live_fields(self.model, kwargs):
                ConfigurationVersion.bump()
        return rows

    def bulk_create(self, objs: Any, *args: Any, **kwargs: Any) -> list[M]:
        with transaction.atomic():
            created = super().bulk_create(objs, *args, **kwargs)
            if created:
                ConfigurationVersion.bump()
        return created


def watch(*configured: type[models.Model]) -> None:
    """Count every save and delete of these models, and every change of their many-to-many relations.

    A model's `LIVE_FIELDS` (names, such as `last_used_at`) are not configuration: a save of only these does not count.
    """
    for model in configured:
        uid = model._meta.label
        post_save.connect(_saved, sender=model, dispatch_uid=uid)
        post_delete.connect(_changed, sender=model, dispatch_uid=uid)
        for relation in model._meta.many_to_many:
            through = relation.remote_field.through
            m2m_changed.connect(_related, sender=through, dispatch_uid=f"{uid}.{relation.name}")


def _saved(sender: type[models.Model], update_fields: frozenset[str] | None, **kwargs: Any) -> None:
    if not (update_fields and _only_live_fields(sender, update_fields)):
        ConfigurationVersion.bump()


def _changed(sender: type[models.Model], **kwargs: Any) -> None:
    ConfigurationVersion.bump()


def _related(sender: type[models.Model], action: str, **kwargs: Any) -> None:
    if action.startswith("post_"):
        ConfigurationVersion.bump()


def _only_live_fields(model: type[models.Model], names: Any) -> bool:
    return set(names) <= getattr(model, "LIVE_FIELDS", frozenset())
