"""The configuration in the database as a file: what `changes.apply` needs to make it again. Never secrets."""

from collections.abc import Iterable
from typing import Any

from accounts.models import User
from proxy.configuration import yaml_file
from proxy.configuration.sections import TENANTS, TOP_LEVEL, USERS, Section
from proxy.configuration.values import written


def export() -> str:
    """The file as YAML: in a stable order, without defaults, passwords and superusers."""
    return "\n".join(
        yaml_file.dump({section.plural: _entries(section, section.model._default_manager.all())})
        for section in TOP_LEVEL
    )


def _entries(section: Section, rows: Iterable[Any]) -> list[dict[str, Any]]:
    # Sorted here: databases sort texts each in their own way.
    return sorted((_entry(section, row) for row in rows), key=lambda entry: str(entry[section.name_key]))


def _entry(section: Section, row: Any) -> dict[str, Any]:
    entry = written(section, section.values_of(row))
    if section is TENANTS:
        entry["users"] = _entries(USERS, User.objects.filter(tenant=row, is_superuser=False))
    return entry
