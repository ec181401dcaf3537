import json
from contextlib import suppress
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, strategies as st
from pytest_django import Settings
from rest_framework.exceptions import ParseError

from accounts.errors import BodyTooLarge
from accounts.parsers import MAX_DEPTH, StrictJSONParser, parse_json

# What every part behind the parser can carry: no NUL, no lone surrogates (which hypothesis leaves out by itself).
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda children: st.lists(children) | st.dictionaries(texts, children),
)


@given(value=values, ensure_ascii=st.booleans())
def test_ordinary_json_is_read_as_it_was_written(value: Any, ensure_ascii: bool):
    assert parse_json(json.dumps(value, ensure_ascii=ensure_ascii).encode()) == value


@given(raw=st.binary() | st.text().map(str.encode) | st.text(alphabet='[]{}",:0eE-.\\u t').map(str.encode))
def test_whatever_comes_is_read_or_refused(raw: bytes):
    with suppress(ParseError):
        parse_json(raw)


@pytest.mark.parametrize(
    "raw, reason",
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "not valid JSON"),
        (b'{"a": 1,}', "not valid JSON"),
        (b"{'a': 1}", "not valid JSON"),
        (b'{"a": 1} x', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),  # a byte order mark
        (b'{"a": "\xff"}', "not valid JSON"),
        (b'{"a": "\xed\xa0\x80"}', "not valid JSON"),  # a surrogate, encoded
        ('{"a": "é"}'.encode("latin-1"), "not valid JSON"),
        ("{}".encode("utf-16"), "not valid JSON"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b'{"\\udfff": 1}', "not valid JSON"),
        (b'{"a": "\0"}', "not valid JSON"),
        (b"NaN", "not valid JSON"),
        (b'{"a": NaN}', "not valid JSON"),
        (b"[Infinity, -Infinity]", "not valid JSON"),
        (b"1e400", "not valid JSON"),
        (b"01", "not valid JSON"),
        (b'{"a": "\\u0000"}', "NUL"),
        (b'{"\\u0000": "a"}', "NUL"),
        (b'[[{"a": ["b", "c\\u0000d"]}]]', "NUL"),
    ],
)
def test_a_body_that_some_later_part_could_not_carry_is_refused(raw: bytes, reason: str):
    with pytest.raises(ParseError, match=reason):
        parse_json(raw)


@pytest.mark.parametrize("opening, closing", [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("depth", [65, 100, 1_000, 1_500, 100_000])
def test_a_body_nested_too_deeply_is_refused(depth: int, opening: bytes, closing: bytes):
    with pytest.raises(ParseError):
        parse_json(opening * depth + b"1" + closing * depth)


@pytest.mark.parametrize("opening, closing", [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_body_nested_up_to_the_limit_is_read(opening: bytes, closing: bytes):
    assert parse_json(opening * MAX_DEPTH + b"1" + closing * MAX_DEPTH)


def test_many_brackets_side_by_side_or_in_a_text_are_no_depth():
    assert len(parse_json(b"[" + b",".join([b"[]"] * 1000) + b"]")) == 1000
    assert parse_json(b'"' + b"[{" * 1000 + b'"') == "[{" * 1000


def test_an_escaped_backslash_before_u0000_is_no_nul():
    assert parse_json(rb'"\\u0000"') == r"\u0000"


def test_of_duplicate_names_the_last_one_counts():
    assert parse_json(b'{"model": "a", "model": "b"}') == {"model": "b"}


def test_an_integer_beyond_64_bits_is_read_as_a_float():
    """RFC 8259, section 6: nobody may rely on more than a float's precision."""
    assert parse_json(b"1" * 30) == float("1" * 30)


def test_an_integer_beyond_a_float_is_refused():
    with pytest.raises(ParseError, match="not valid JSON"):
        parse_json(b"1" * 400)


def test_a_body_over_the_limit_is_refused_before_it_is_decoded(settings: Settings):
    settings.GATEWAY_MAX_BODY_BYTES = 10
    stream = BytesIO(b"[" * 1000)

    with pytest.raises(BodyTooLarge):
        StrictJSONParser().parse(stream)
    assert stream.tell() == 11


def test_a_body_of_exactly_the_limit_is_read(settings: Settings):
    settings.GATEWAY_MAX_BODY_BYTES = 10

    assert StrictJSONParser().parse(BytesIO(b'"12345678"')) == "12345678"
