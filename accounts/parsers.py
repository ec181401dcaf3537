"""A JSON parser that accepts only what every later part (providers, Postgres, Redis) can carry."""

from typing import IO, Any

import orjson
from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from accounts.errors import BodyTooLarge

MAX_DEPTH = 64
# Ten million empty lists fit into a body, and take five seconds and a gigabyte to read. No model reads a million.
MAX_BRACKETS = 1_000_000


class StrictJSONParser(BaseParser):
    """UTF-8 JSON without NUL characters, lone surrogates or more than 64 levels.

    Raises ParseError (400), or BodyTooLarge (413) above GATEWAY_MAX_BODY_MB.
    """

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        raw = stream.read(settings.GATEWAY_MAX_BODY_BYTES + 1)
        if len(raw) > settings.GATEWAY_MAX_BODY_BYTES:
            raise BodyTooLarge("The body is too large. Send less, or ask the operator for a higher limit.")
        return parse_json(raw)


def parse_json(raw: bytes) -> Any:
    """Decode a request body; raises ParseError with a message for the caller."""
    if not raw.strip():
        raise ParseError("The body is empty. Send JSON.")
    brackets = raw.count(b"[") + raw.count(b"{")
    if brackets > MAX_BRACKETS:
        raise ParseError(f"The body has more than {MAX_BRACKETS:,} opening brackets. Send less at once.")
    try:
        data = orjson.loads(raw)  # refuses NaN, lone surrogates and invalid UTF-8
    except orjson.JSONDecodeError as error:
        raise ParseError(
            f"The body is not valid JSON: {error}. Check quotes, commas and the encoding (UTF-8)."
        ) from error
    if is_too_deep(data, brackets):
        raise ParseError(f"The body is nested more than {MAX_DEPTH} levels deep. Flatten it.")
    if raw.find(b"\\u0000") >= 0 and _has_nul(data):  # `in` tries it as a number first, which raises
        raise ParseError("The body contains a NUL character (\\u0000). Remove it.")
    return data


def is_too_deep(data: Any, brackets: int) -> bool:
    """Whether decoded JSON has more than MAX_DEPTH levels; `brackets`: how many its text opens, strings included.

    Counting those is far cheaper than walking: only what could be too deep is walked.
    """
    return brackets > MAX_DEPTH and _is_deeper_than(data, MAX_DEPTH)


def _is_deeper_than(data: Any, levels: int) -> bool:
    layer = [data]
    for _ in range(levels):
        layer = [
            child
            for node in layer
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, (dict, list))
        ]
        if not layer:
            return False
    return True


def _has_nul(data: Any) -> bool:
    waiting = [data]
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            if "\0" in node:
                return True
        elif isinstance(node, dict):
            waiting.extend(node)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return False
