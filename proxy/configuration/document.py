"""A configuration file, checked: what it wants, or every problem with the place where it is."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from django.core.exceptions import ValidationError

from proxy.configuration import values, yaml_file
from proxy.configuration.sections import LINKS, TENANTS, TOP_LEVEL, USERS, Section

REFUSED = {
    "api_key": (
        "keys are not kept in this file. Name the environment variable that holds the key in api_key_env, "
        "or store the key encrypted in the admin, under Providers"
    ),
    "password": (
        "passwords are not kept in this file. Name the environment variable that holds the password in password_env"
    ),
}


class ConfigurationError(Exception):
    """The file cannot be applied. `problems`: one line each, such as `chains[0].links[1]: there is no model "x".`"""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True)
class Entry:
    """One thing as the file wants it: a value for every key, defaults filled in."""

    section: Section
    path: str
    values: dict[str, Any]
    password_env: str = ""

    @property
    def name(self) -> str:
        return str(self.values[self.section.name_key])


@dataclass(frozen=True)
class Reference:
    """A place where the file names a thing."""

    path: str
    section: Section
    name: str


@dataclass(frozen=True)
class Document:
    """What the file wants. `entries` has no section that the file does not speak of."""

    entries: dict[str, list[Entry]]
    references: list[Reference] = field(default_factory=list)
    tenants_with_users: set[str] = field(default_factory=set)

    def of(self, section: Section) -> list[Entry]:
        return self.entries.get(section.kind, [])

    def names(self, section: Section) -> set[str]:
        return {entry.name for entry in self.of(section)}

    def speaks_of(self, section: Section) -> bool:
        return section.kind in self.entries

    def missing(self) -> "Document":
        """Only what the database does not have."""
        return replace(
            self,
            entries={
                kind: [entry for entry in entries if entry.section.find(entry.name) is None]
                for kind, entries in self.entries.items()
            },
        )


def read(text: str | bytes) -> Document:
    """Check a file by itself, without a look at the database. Raises ConfigurationError with every problem found."""
    try:
        data = yaml_file.load(text)
    except yaml_file.InvalidYAML as error:
        raise ConfigurationError([str(error)]) from error
    reading = _Reading()
    document = reading.document(data)
    if reading.problems:
        raise ConfigurationError(reading.problems)
    return document


def suggestion(name: str, known: Sequence[str]) -> str:
    """` Did you mean "…"?`, or nothing."""
    close = get_close_matches(name, known, n=1)
    return f' Did you mean "{close[0]}"?' if close else ""


class _Reading:
    """One walk through the file that goes on after a problem, so that all of them are told at once."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.references: list[Reference] = []
        self.users: list[Entry] = []
        self.tenants_with_users: set[str] = set()

    def document(self, data: Any) -> Document:
        sections = self._mapping(data, "", [section.plural for section in TOP_LEVEL])
        entries = {
            section.kind: self._entries(section, sections[section.plural], section.plural)
            for section in TOP_LEVEL
            if section.plural in sections
        }
        if TENANTS.kind in entries:
            entries[USERS.kind] = self.users
        for found in entries.values():
            self._refuse_twins(found)
        return Document(entries, self.references, self.tenants_with_users)

    def _entries(self, section: Section, items: Any, path: str, **inherited: str) -> list[Entry]:
        found = [
            self._entry(section, item, f"{path}[{number}]", **inherited)
            for number, item in enumerate(self._list(items, path))
        ]
        return [entry for entry in found if entry]

    def _entry(self, section: Section, item: Any, path: str, **inherited: str) -> Entry | None:
        """None where it has no usable name; other problems leave the default in place of the value."""
        given = self._mapping(item, path, section.file_keys)
        if not given:
            return None
        wanted: dict[str, Any] = {
            key: inherited.get(key) or self._value_of_key(section, given, key, path) for key in section.keys
        }
        if not isinstance(wanted[section.name_key], str):
            return None
        if "users" in given:
            self._users(given["users"], f"{path}.users", tenant=wanted["name"])
        return Entry(section, path, wanted, self._password_env(given, f"{path}.password_env"))

    def _value_of_key(self, section: Section, given: dict[str, Any], key: str, path: str) -> Any:
        if key in given:
            return self._value(section, key, given[key], f"{path}.{key}")
        if not section.is_required(key):
            return section.default(key)
        self._problem(f"{path}.{key}", "is missing.")
        return None

    def _value(self, section: Section, key: str, value: Any, path: str) -> Any:
        field = section.field(key)
        if field.one_to_many:
            return [self._link(link, f"{path}[{number}]") for number, link in enumerate(self._list(value, path))]
        if field.many_to_many:
            return self._names(values.section_of(field), value, path)
        try:
            value = values.read(section, key, value)
        except ValidationError as error:
            self._problem(path, " ".join(error.messages))
            return None
        except ValueError as error:
            self._problem(path, str(error))
            return None
        if field.many_to_one:
            self.references.append(Reference(path, values.section_of(field), value))
        return value

    def _link(self, link: Any, path: str) -> dict[str, Any]:
        """A link is a mapping, or only the name of its model."""
        if isinstance(link, dict):
            entry = self._entry(LINKS, link, path)
            return entry.values if entry else {}
        return {
            "model": self._value(LINKS, "model", link, path),
            **{key: LINKS.default(key) for key in LINKS.keys[1:]},
        }

    def _names(self, section: Section, items: Any, path: str) -> list[str]:
        names = self._list(items, path)
        for number, name in enumerate(names):
            if isinstance(name, str):
                self.references.append(Reference(f"{path}[{number}]", section, name))
            else:
                self._problem(f"{path}[{number}]", f"must be a name, not {values.literal(name)}.")
        return sorted({name for name in names if isinstance(name, str)})

    def _users(self, items: Any, path: str, tenant: str) -> None:
        self.tenants_with_users.add(tenant)
        self.users += self._entries(USERS, items, path, tenant=tenant)

    def _password_env(self, given: dict[str, Any], path: str) -> str:
        if given.get("password_env") is None:
            return ""
        try:
            variable = values.read_variable(given["password_env"])
        except ValueError as error:
            self._problem(path, str(error))
            return ""
        if not os.environ.get(variable):
            self._problem(path, f"the environment variable {variable} is not set. Set it to the user's password.")
        return variable

    def _mapping(self, value: Any, path: str, known: Sequence[str]) -> dict[str, Any]:
        if not isinstance(value, dict) or not value:
            found = "" if not value else f", not {values.literal(value)}"
            self._problem(path, f"must be a mapping with the keys {', '.join(known)}{found}.")
            return {}
        for key in value:
            if key not in known:
                self._unknown_key(str(key), path, known)
        return {key: value[key] for key in known if key in value}

    def _unknown_key(self, key: str, path: str, known: Sequence[str]) -> None:
        place = f"{path}.{key}" if path else key
        if key in REFUSED:
            self._problem(place, f"{REFUSED[key]}.")
        else:
            hint = suggestion(key, known) or f" The keys are {', '.join(known)}."
            self._problem(place, f"unknown key.{hint}")

    def _list(self, value: Any, path: str) -> list[Any]:
        if isinstance(value, list):
            return value
        self._problem(path, f"must be a list, not {values.literal(value)}. An empty one is [].")
        return []

    def _refuse_twins(self, entries: list[Entry]) -> None:
        seen: dict[str, Entry] = {}
        for entry in entries:
            first = seen.setdefault(entry.name, entry)
            if first is not entry:
                self._problem(f"{entry.path}.{entry.section.name_key}", f'"{entry.name}" is at {first.path} already.')

    def _problem(self, path: str, text: str) -> None:
        self.problems.append(f"{path}: {text}" if path else f"The file {text}")
