"""The request of `/v1/embeddings`."""

from dataclasses import dataclass
from typing import Any

from accounts.errors import InvalidRequest
from proxy.chat import check_fields, require_name, require_object


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
        check_fields(body)
        if not isinstance(body.get("input"), (str, list)) or not body["input"]:
            raise InvalidRequest("input must be a text or a list of texts, and not empty.", param="input")
        return cls(name, {field: value for field, value in body.items() if field != "model"})
