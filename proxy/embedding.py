"""The request of `/v1/embeddings`."""

from dataclasses import dataclass
from typing import Any

from accounts.errors import InvalidRequest
from proxy.chat import FieldType, check_fields, require_name, require_object

TYPES: dict[str, FieldType] = {
    "dimensions": ((int,), "a whole number"),
    "encoding_format": ((str,), "a text, float or base64"),
    "user": ((str,), "a text"),
}


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """A checked request: the chain's or model's name, and what goes on to the provider."""

    name: str
    body: dict[str, Any]

    @classmethod
    def parse(cls, data: Any) -> "EmbeddingRequest":
        """Raises InvalidRequest that names the `param`."""
        body = require_object(data)
        name = require_name(body.get("model"), "model")
        check_fields(body, TYPES)
        if not _can_be_embedded(body.get("input")):
            raise InvalidRequest("input must be a text, a list of texts, or tokens, and not empty.", param="input")
        return cls(name, {field: value for field, value in body.items() if field != "model"})


def _can_be_embedded(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, type(value[0])) for item in value) and _is_item(value[0])
    return isinstance(value, str) and value != ""


def _is_item(item: Any) -> bool:
    """A text, the number of a token, or a list of those."""
    return isinstance(item, (str, int, list)) and not isinstance(item, bool)
