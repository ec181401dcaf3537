"""What recorded requests say beyond their rows: which keys are in use, and which provider refuses our credential."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _

from accounts.models import APIKey
from proxy.models import Provider, Usage
from proxy.upstreams.failures import CredentialRejected
from proxy.usage import json_rows


def note_keys_in_use(usages: Iterable[Usage]) -> None:
    """Move `last_used_at` of the keys forward, all of them in one query. It is not configuration: no version bump."""
    newest: dict[UUID, datetime] = {}
    for usage in usages:
        if usage.key_id is not None:
            newest[usage.key_id] = max(usage.created_at, newest.get(usage.key_id, usage.created_at))
    if not newest:
        return
    named = {field.attname: field for field in APIKey._meta.concrete_fields}
    fields = [named["id"], named["last_used_at"]]
    table = connection.ops.quote_name(APIKey._meta.db_table)
    statement = (
        f"UPDATE {table} SET last_used_at = used.last_used_at FROM ({json_rows.select(fields)}) AS used "  # noqa: S608
        f"WHERE {table}.id = used.id AND ({table}.last_used_at IS NULL OR {table}.last_used_at < used.last_used_at)"
    )
    rows = [{"id": key_id, "last_used_at": at} for key_id, at in newest.items()]
    with connection.cursor() as cursor:
        cursor.execute(statement, [json_rows.document(fields, rows)])


def flag_providers(usages: Iterable[Usage]) -> None:
    """Flag the providers that refused our credential last; a later answer takes the flag away."""
    refused: dict[str, datetime] = {}
    answered: dict[str, datetime] = {}
    for usage in sorted(usages, key=lambda usage: usage.created_at):
        for attempt in usage.attempts:
            name, code = str(attempt.get("provider")), attempt.get("code")
            if code == CredentialRejected.code:
                refused[name] = usage.created_at
                answered.pop(name, None)
            elif code is None:
                answered[name] = usage.created_at
                refused.pop(name, None)
    for provider in Provider.objects.filter(name__in=[*refused, *answered]):
        _update_flag(provider, refused.get(provider.name), answered.get(provider.name))


def _update_flag(provider: Provider, refused: datetime | None, answered: datetime | None) -> None:
    if refused and not provider.flag:
        provider.flag, provider.flagged_at = _("It refuses the gateway's credential. Check the API key."), refused
    elif answered and provider.flagged_at and provider.flagged_at < answered:
        provider.flag, provider.flagged_at = "", None
    else:
        return
    provider.save(update_fields=["flag", "flagged_at"])
