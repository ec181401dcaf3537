"""One value of a configuration file: read, written back, and shown in a difference."""

import math
import re
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django.db import models

from proxy.configuration.sections import BY_MODEL, LINKS, Section

# What a field of the model takes from YAML. The first that fits counts: a true is no number, whatever Python says.
TYPES: "tuple[tuple[type[models.Field[Any, Any]], tuple[type, ...], str], ...]" = (
    (models.BooleanField, (bool,), "true or false"),
    (models.IntegerField, (int,), "a whole number"),
    (models.FloatField, (int, float), "a number"),
    (models.DecimalField, (int, float), "a number"),
    (models.CharField, (str,), "text"),
    (models.ForeignKey, (str,), "a name"),
)
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*\Z")
LONGEST_QUOTE = 60
SECRETIVE = {"api_key_env", "password_env", "base_url", "webhook_url"}
"""Keys under which people paste secrets by mistake: an error does not repeat what it found there."""


def read(section: Section, key: str, value: Any) -> Any:
    """The value as the model holds it (a relation: the other's name). Raises ValueError or ValidationError."""
    field = section.field(key)
    if value is None and field.null and not field.is_relation:
        return section.null_as.get(key)
    if value is None and isinstance(field, models.CharField) and field.blank:
        return ""
    value = _typed(field, key, value)
    _check(field, key, value)
    return value


def read_variable(value: Any) -> str:
    """The name of an environment variable. Raises ValueError, which does not repeat what may be a secret."""
    if not isinstance(value, str) or not VARIABLE.match(value):
        raise ValueError(
            "must be the name of an environment variable, in capitals, such as OPENAI_API_KEY. "
            "Secrets themselves do not belong in this file."
        )
    return value


def written(section: Section, entry: dict[str, Any]) -> dict[str, Any]:
    """An entry as YAML writes it: without what is a default, or follows from its place."""
    return {
        key: _written(section, key, value)
        for key, value in entry.items()
        if key not in section.inherited and (section.is_required(key) or value != section.default(key))
    }


def written_link(link: dict[str, Any]) -> str | dict[str, Any]:
    """A link as YAML writes it: the model's name, or a mapping where it has timeouts of its own."""
    own = written(LINKS, link)
    return own if len(own) > 1 else str(link["model"])


def shown(section: Section, key: str, value: Any) -> str:
    """The value as a person reads it in a difference."""
    if key in section.null_as and value is None:
        return "default"
    if key == "links":
        return ", ".join(map(_shown_link, value)) or "none"
    value = _written(section, key, value)
    if value in (None, "", []):
        return "none"
    match value:
        case list():
            return ", ".join(value)
        case str():
            return value
    return literal(value)


def literal(value: Any) -> str:
    """A value as an error quotes it."""
    match value:
        case str():
            return f'"{value[:LONGEST_QUOTE]}{"…" if len(value) > LONGEST_QUOTE else ""}"'
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict():
            return "a mapping"
        case list():
            return "a list"
    return str(value)


def _typed(field: Any, key: str, value: Any) -> Any:
    types, wanted = next((types, wanted) for kind, types, wanted in TYPES if isinstance(field, kind))
    if type(value) not in types:
        found = "" if key in SECRETIVE else f", not {literal(value)}"
        hint = " Put it in quotes." if types == (str,) and isinstance(value, bool | int | float) else ""
        raise ValueError(f"must be {wanted}{found}.{hint}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number.")
    if isinstance(field, models.FloatField):
        return float(value)
    return Decimal(str(value)) if isinstance(field, models.DecimalField) else value


def _check(field: Any, key: str, value: Any) -> None:
    if isinstance(value, str):
        _check_text(field, key, value)
    elif value < 0:
        raise ValueError(f"must not be negative, as {literal(value)} is.")
    if field.choices and value not in dict(field.choices):
        raise ValueError(f"must be {' or '.join(dict(field.choices))}, not {literal(value)}.")
    if value != "" and not isinstance(field, models.ForeignKey):
        field.run_validators(value)


def _check_text(field: Any, key: str, text: str) -> None:
    if not text.isprintable():
        raise ValueError("must not contain line breaks, control characters or broken ones.")
    if not text and not field.blank:
        raise ValueError("must not be empty.")
    if field.max_length and len(text) > field.max_length:
        raise ValueError(f"must not be longer than {field.max_length} characters; it has {len(text)}.")
    if text and key == "api_key_env":
        read_variable(text)
    if text and key == "base_url":
        _check_address(text)


def _check_address(text: str) -> None:
    """Raises ValueError unless it is an http or https address without a password in it."""
    address = urlsplit(text)
    if address.scheme not in {"http", "https"} or not address.hostname or " " in text:
        raise ValueError("must be an http:// or https:// address, such as https://api.openai.com/v1.")
    if address.username or address.password:
        raise ValueError("must not contain a user name or password. Name the key's variable in api_key_env.")


def _written(section: Section, key: str, value: Any) -> Any:
    """The opposite of `read`."""
    if key == "links":
        return [written_link(link) for link in value]
    if key in section.null_as:
        return None if value == section.null_as[key] else value
    if isinstance(value, float | Decimal):
        return int(value) if value == int(value) else float(value)
    return value


def _shown_link(link: dict[str, Any]) -> str:
    own = [f"{key} {literal(value)}" for key, value in written(LINKS, link).items() if key != "model"]
    return f"{link['model']} ({', '.join(own)})" if own else str(link["model"])


def section_of(field: Any) -> Section:
    """The section of the things that a relation's field names."""
    return BY_MODEL[field.related_model]
