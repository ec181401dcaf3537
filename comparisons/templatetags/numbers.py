"""Numbers as people read them."""

from django import template

register = template.Library()


@register.filter
def percent(share: float | None) -> str:
    """`63 %`, `0.4 %` below one; a dash for None."""
    if share is None:
        return "–"
    return f"{share:.1%}".replace("%", " %") if 0 < share < 0.01 else f"{share:.0%}".replace("%", " %")


@register.filter
def whole(number: float | None) -> int | None:
    """Rounded; None stays None."""
    return None if number is None else round(number)
