"""Reading the environment. An empty variable counts as unset."""

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str = "") -> str:
    """The variable's value without surrounding blanks."""
    return os.environ.get(name, "").strip() or default


def number(name: str, default: int) -> int:
    """A whole number of at least 0; raises ImproperlyConfigured for anything else."""
    value = text(name)
    if not value:
        return default
    if not value.isascii() or not value.isdigit():
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.")
    return int(value)


def switch(name: str, *, default: bool = False) -> bool:
    """1, true, yes, on or 0, false, no, off; raises ImproperlyConfigured for anything else."""
    value = text(name).lower()
    if not value:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")


def url(name: str, *, schemes: Sequence[str]) -> str:
    """A URL with one of these schemes, "" if it is not set; raises ImproperlyConfigured, without showing passwords."""
    value = text(name)
    try:
        parts = urlsplit(value)
        is_one = parts.scheme in schemes and parts.port != 0
    except ValueError:
        is_one = False
    if value and not is_one:
        raise ImproperlyConfigured(f"{name} must be a URL that begins with {schemes[0]}://, with a number as its port.")
    return value


def names(name: str, default: str = "") -> list[str]:
    """A comma separated list, blanks and empty items left out."""
    return [item.strip() for item in text(name, default).split(",") if item.strip()]
