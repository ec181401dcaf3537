"""Bring the database to what a configuration file wants, in one transaction, and say what that changed.

A dry run is a run whose transaction is rolled back, so it can neither promise nor miss anything.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.contrib.auth.hashers import check_password
from django.db import models, transaction
from django.db.models import ProtectedError, Q, QuerySet

from accounts.models import ConfigurationVersion, Tenant, User
from accounts.models.user import Role
from proxy.configuration import values
from proxy.configuration.document import ConfigurationError, Document, Entry, suggestion
from proxy.configuration.sections import CHAINS, MODELS, PROVIDERS, TENANTS, USERS, Section
from proxy.models import ChainLink, Model, ModelChain, Provider

# What is named comes before what names it; deleting goes the other way.
ORDER = (TENANTS, PROVIDERS, MODELS, CHAINS, USERS)


@dataclass(frozen=True)
class Change:
    """One thing added (+), changed (~) or deleted (-); as a text it is the line that the command prints."""

    sign: str
    kind: str
    name: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {self.kind} {self.name}{self.detail}"


def apply(document: Document, *, prune: bool = False, dry_run: bool = False) -> list[Change]:
    """Make the database say what the document says; an empty list if it did.

    Deletes nothing, unless `prune`: then what the document's sections leave out, but never a superuser. Raises
    ConfigurationError, having changed nothing, when the document names what is not there or would delete what is used.
    """
    with transaction.atomic():
        # Every change of configuration counts in this row: no other one can come between our reading and our writing.
        ConfigurationVersion.objects.select_for_update().filter(pk=1).first()
        _refuse(_unknown_names(document, prune=prune) + _foreign_users(document))
        changes = [change for section in ORDER for entry in document.of(section) if (change := _put(entry)) is not None]
        if prune:
            changes += _prune(document)
        if dry_run:
            transaction.set_rollback(True)
    return changes


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise ConfigurationError(problems)


def _unknown_names(document: Document, *, prune: bool) -> list[str]:
    """A problem for each name that is neither in the document nor in what will be left of the database."""
    problems = []
    there = {section.kind: section.names() for section in (PROVIDERS, MODELS, TENANTS)}
    for reference in document.references:
        section, name = reference.section, reference.name
        pruned = there[section.kind] if prune and document.speaks_of(section) else set()
        known = (there[section.kind] - pruned) | document.names(section)
        if name not in known:
            hint = " Not in this file, it would be pruned." if name in pruned else suggestion(name, sorted(known))
            problems.append(f'{reference.path}: there is no {section.kind} "{name}".{hint}')
    return problems


def _foreign_users(document: Document) -> list[str]:
    """A problem for each user who is a superuser, or another tenant's."""
    problems = []
    rows = (
        User.objects.filter(username__in=document.names(USERS)).select_related("tenant").in_bulk(field_name="username")
    )
    for entry in document.of(USERS):
        row, place = rows.get(entry.name), f"{entry.path}.username"
        if row and row.is_superuser:
            problems.append(f'{place}: "{entry.name}" is a superuser, and those are kept out of this file.')
        elif row and row.tenant and row.tenant.name != entry.values["tenant"]:
            problems.append(
                f'{place}: "{entry.name}" belongs to the tenant {row.tenant}. A user name is taken once in the whole '
                "gateway: choose another one, or move the user in the admin."
            )
    return problems


# Adding and changing ----------------------------------------------------------------------------------------------


def _put(entry: Entry) -> Change | None:
    section = entry.section
    row = section.find(entry.name)
    before = section.values_of(row) if row else {}
    wanted = {key: value for key, value in entry.values.items() if not row or before[key] != value}
    password = _new_password(entry, row)
    if not wanted and password is None:
        return None
    _write(row or section.model(), section, wanted, password)
    if not row:
        return Change("+", section.kind, entry.name)
    details = [
        f"{key} {values.shown(section, key, before[key])} → {values.shown(section, key, value)}"
        for key, value in wanted.items()
    ]
    details += ["new password"] if password else []
    return Change("~", section.kind, entry.name, f": {'; '.join(details)}")


def _write(row: Any, section: Section, wanted: dict[str, Any], password: str | None) -> None:
    columns = [key for key in wanted if section.is_column(key)]
    for key in columns:
        setattr(row, key, _related(section.field(key), wanted[key]))
    if isinstance(row, User):
        columns += _set_rights(row, wanted, password)
    row.save(update_fields=None if row._state.adding else columns)
    if "tenants" in wanted:
        row.tenants.set(Tenant.objects.filter(name__in=wanted["tenants"]))
    if "links" in wanted:
        _replace_links(row, wanted["links"])


def _related(field: Any, value: Any) -> Any:
    return values.section_of(field).find(value) if field.many_to_one else value


def _replace_links(row: ModelChain, links: list[dict[str, Any]]) -> None:
    row.links.all().delete()
    found = Model.objects.in_bulk([link["model"] for link in links], field_name="name")
    ChainLink.objects.bulk_create(
        ChainLink(**{**link, "model": found[link["model"]]}, chain=row, position=position)
        for position, link in enumerate(links)
    )


def _new_password(entry: Entry, row: User | None) -> str | None:
    """The password of `password_env`, if it is not the user's already."""
    password = os.environ.get(entry.password_env) if entry.password_env else None
    if password and row and check_password(password, row.password):
        return None
    return password


def _set_rights(user: User, wanted: dict[str, Any], password: str | None) -> list[str]:
    """Set what follows from the role, and the password; returns the columns."""
    columns = []
    if "role" in wanted:
        user.is_staff = wanted["role"] == Role.TENANT_ADMIN
        columns.append("is_staff")
    if password or user._state.adding:
        user.set_password(password)  # None: a user who has only API keys
        columns.append("password")
    return columns


# Deleting ---------------------------------------------------------------------------------------------------------


def _prune(document: Document) -> list[Change]:
    problems: list[str] = []
    changes: list[Change] = []
    for section, rows in _left_out(document):
        for row in rows:
            change = Change("-", section.kind, str(row), _goes_along(row))
            reasons = _uses(row) or _delete(row)
            if reasons:
                problems.append(_still_used(change, reasons))
            else:
                changes.append(change)
    _refuse(problems)
    return changes


def _still_used(change: Change, users: Sequence[str]) -> str:
    return (
        f"The {change.kind} {change.name} cannot be deleted while it is used by {', '.join(users)}. "
        "Change that first, or keep it in the file."
    )


def _left_out(document: Document) -> Iterable[tuple[Section, QuerySet[Any]]]:
    """What the document's sections do not name, those first that name others."""
    lists_users_of = Q(tenant__name__in=document.tenants_with_users)
    if document.speaks_of(TENANTS):
        lists_users_of |= Q(tenant__isnull=False) & ~Q(tenant__name__in=document.names(TENANTS))
    users = User.objects.filter(lists_users_of, is_superuser=False)
    yield USERS, users.exclude(username__in=document.names(USERS))
    for section in (CHAINS, MODELS, PROVIDERS, TENANTS):
        if document.speaks_of(section):
            yield section, section.model._default_manager.exclude(name__in=document.names(section))


def _goes_along(row: models.Model) -> str:
    """What else is lost with the row."""
    count = row.api_keys.count() if isinstance(row, User) else 0
    return f", with {count} API key{'s' if count > 1 else ''}" if count else ""


def _uses(row: models.Model) -> list[str]:
    """Who names the row. Nothing goes along silently, and what only one tenant may use never becomes everybody's."""
    named_by: Iterable[models.Model] = ()
    match row:
        case Provider():
            named_by = row.models.all()
        case Model():
            named_by = ModelChain.objects.filter(links__model=row).distinct()
        case Tenant():
            named_by = chain(row.users.all(), row.chains.all(), row.models.all())
    return [_called(thing) for thing in named_by]


def _delete(row: models.Model) -> list[str]:
    """Delete it; returns what another part of the gateway protects it with."""
    try:
        row.delete()
    except ProtectedError as error:
        return [_called(thing) for thing in error.protected_objects]
    return []


def _called(thing: models.Model) -> str:
    return f"the {thing._meta.verbose_name} {thing}"
