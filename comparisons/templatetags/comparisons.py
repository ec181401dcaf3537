"""How numbers, times and texts of comparisons are written."""

from collections import Counter
from typing import Any

import orjson
from django import template
from django.utils.safestring import SafeString

from comparisons.markdown import render_markdown
from comparisons.models import Comparison

register = template.Library()


@register.filter
def duration(milliseconds: int | None) -> str:
    """`840 ms`, `1.24 s`, `2 min 5 s`; a dash for None."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1:
        return "< 1 ms"
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.2f} s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes} min {seconds} s"


@register.filter
def speed(tokens_per_second: float | None) -> str:
    """`61.0 tok/s`, `1,536 tok/s`: a digit after the point below 100; a dash for none."""
    if not tokens_per_second:
        return "–"
    return f"{tokens_per_second:,.{1 if tokens_per_second < 100 else 0}f} tok/s"


@register.filter
def cost(microusd: int) -> str:
    """`$0.00123`, `$1.20`: to a cent from a dollar up, to the micro-dollar below."""
    if microusd >= 1_000_000:
        return f"${microusd / 1_000_000:,.2f}"
    return f"${microusd / 1_000_000:.6f}".rstrip("0").rstrip(".")


@register.filter
def letter(slot: int) -> str:
    """A to J."""
    return chr(ord("A") + slot)


@register.filter
def key(slot: int) -> str:
    """The key that picks a slot: 1 to 9, and 0 for the tenth."""
    return str((slot + 1) % 10)


@register.filter
def markdown(text: str) -> SafeString:
    return render_markdown(text)


@register.filter
def pretty_json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


@register.filter
def text_of(content: Any) -> str:
    """A message's content as text: of parts, those that are text; the others by their type."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_part(part) for part in content)
    return "" if content is None else pretty_json(content)


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        return str(part)
    text = part.get("text")
    return text if isinstance(text, str) else f"[{part.get('type', 'part')}]"


@register.simple_tag(takes_context=True)
def querystring_of(context: dict[str, Any], **changes: str | None) -> str:
    """The address's query with these changes; None takes a name out."""
    query = context["request"].GET.copy()
    for name, value in changes.items():
        if value is None:
            query.pop(name, None)
        else:
            query[name] = value
    return str(query.urlencode())


@register.filter
def verdicts(comparison: Comparison) -> str:
    """`A 2, tie 1`: what was voted for, and how often. Reads the votes that were fetched with the comparison."""
    counts = Counter(str(vote).lower() if vote.winner is None else str(vote) for vote in comparison.votes.all())
    told = ", ".join(f"{verdict} × {count}" if count > 1 else verdict for verdict, count in counts.most_common())
    return f"Voted: {told}" if told else ""
