"""One setting of this process, for what reads it at each request: Django's `settings` looks twice, and in Python."""

from functools import cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed


@cache
def setting(name: str) -> Any:
    return getattr(settings, name)


def _forget(**_: object) -> None:
    setting.cache_clear()


setting_changed.connect(_forget)
