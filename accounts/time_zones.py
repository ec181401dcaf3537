from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError


@cache
def _known() -> frozenset[str]:
    return frozenset(available_timezones())


def validate_time_zone(name: str) -> None:
    """Raises ValidationError unless the name is one of the IANA time zone database."""
    if name not in _known():
        raise ValidationError(f"“{name}” is not a known time zone. Use a name such as Europe/Berlin or UTC.")


def zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
