"""Reading the environment. An empty variable counts as unset."""

import os

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


def names(name: str, default: str = "") -> list[str]:
    """A comma separated list, blanks and empty items left out."""
    return [item.strip() for item in text(name, default).split(",") if item.strip()]
