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
        if not isinstance(body.get("input"), (str, list)) or not body["input"]:
            raise InvalidRequest("input must be a text or a list of texts, and not empty.", param="input")
        return cls(name, {field: value for field, value in body.items() if field != "model"})
