"""Markdown that models wrote, as HTML that can do nothing."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

# What takes seconds to render is shown as it was written: long texts, many brackets, wide tables of many lines.
LONGEST = 100_000
MOST_BRACKETS = 5_000
MOST_CELLS = 20_000
_table_head = re.compile(r"^[ \t]*[|:-][ \t|:-]*$", re.MULTILINE)

# fmt: off
TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}
# fmt: on


def render_markdown(text: str) -> SafeString:
    """CommonMark with tables. What the parser lets through by mistake, the sanitiser takes out."""
    html = nh3.clean(
        f"<pre>{escape(text)}</pre>" if _is_costly(text) else _parser().render(text),
        tags=TAGS,
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        set_tag_attribute_values={"pre": {"tabindex": "0"}},  # long lines scroll, also without a mouse
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(html)  # noqa: S308 - nh3 has just made it safe


@lru_cache(maxsize=1)
def _parser() -> "MarkdownIt":
    """Without raw HTML, and without pictures: fetching one would tell its server who reads what, and when."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - what only pages need is no part of a web process's start

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable(["image"])


def _is_costly(text: str) -> bool:
    if len(text) > LONGEST or text.count("[") > MOST_BRACKETS:
        return True
    columns = max((head.count("|") for head in _table_head.findall(text)), default=0)
    return columns * text.count("\n") > MOST_CELLS
