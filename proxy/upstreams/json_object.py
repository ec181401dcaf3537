"""What providers say, decoded."""

from typing import Any

import orjson

from accounts.parsers import is_too_deep
from proxy.upstreams.failures import MalformedAnswer


def json_object(raw: bytes, told: str) -> dict[str, Any]:
    """A JSON object that can be written again: orjson reads more levels than it writes.

    Raises MalformedAnswer for anything else; `told`: how it came, as in "The provider answered with something".
    """
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedAnswer(f"{told} that is not JSON.") from error
    if not isinstance(data, dict):
        raise MalformedAnswer(f"{told} that is not a JSON object.")
    if is_too_deep(data, raw.count(b"{") + raw.count(b"[")):
        raise MalformedAnswer(f"{told} that is nested too deeply.")
    return data
