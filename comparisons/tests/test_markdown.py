from html.parser import HTMLParser

import pytest

from comparisons.markdown import TAGS, render_markdown


def test_markdown_becomes_html():
    html = render_markdown("# Title\n\n- **one**\n- `two`\n\n| a | b |\n| - | - |\n| 1 | ~~2~~ |\n")
    for part in ("<h1>Title</h1>", "<strong>one</strong>", "<code>two</code>", "<td>1</td>", "<s>2</s>"):
        assert part in html


def test_code_can_be_scrolled_without_a_mouse():
    assert '<pre tabindex="0">' in render_markdown("```python\nprint(1)\n```")


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[click](javascript:alert(1))",
        "[click](data:text/html,<script>alert(1)</script>)",
        "![pixel](https://tracker.example/p.png)",
        "<svg/onload=alert(1)>",
        "`<iframe src=x>`",
        '[a](https://example.com "onmouseover=alert(1)")',
        "<style>body{display:none}</style>",
        "[x]: javascript:alert(1)\n\n[x]",
        "<a href='x' style='position:fixed'>y</a>",
    ],
)
def test_nothing_that_a_model_writes_can_do_anything(attack: str):
    for tag, attributes in elements(render_markdown(attack)):
        assert tag in TAGS
        assert attributes.keys() <= {"href", "rel", "start", "tabindex", "title"}
        assert attributes.get("href", "https:").startswith("https:")


def elements(html: str) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[str, dict[str, str]]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append((tag, {k: v or "" for k, v in attrs}))  # type: ignore[method-assign]
    parser.feed(html)
    return found


def test_links_lead_out_without_telling_where_from():
    html = render_markdown("[docs](https://example.com/a?b=c)")
    assert '<a href="https://example.com/a?b=c" rel="noopener noreferrer nofollow">docs</a>' in html


@pytest.mark.parametrize(
    "text",
    ["|a" * 2000 + "\n" + "|-" * 2000 + "\n" + "a\n" * 1000, "[" * 20_000, "a\n\n" * 50_000],
    ids=["a wide table", "brackets", "a long text"],
)
def test_what_takes_seconds_to_render_is_shown_as_it_was_written(text: str):
    html = render_markdown(f"<b>{text}")
    assert html.startswith('<pre tabindex="0">&lt;b&gt;')
    assert len(html) < 2 * len(text)


def test_a_long_table_is_a_table():
    html = render_markdown("| a | b |\n| - | - |\n" + "| 1 | 2 |\n" * 1000)
    assert html.count("<tr>") == 1001
