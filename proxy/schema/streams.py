"""Streamed chats: what one server-sent event holds.

OpenAPI 3.1 has no words for a stream. As in OpenAPI 3.2, an event is described as an object with the event's fields;
`data` is a text, and its `contentSchema` that of the JSON inside.
"""

import json
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction
from rest_framework import serializers

from proxy.schema.completions import ChatCompletionChunkSerializer
from proxy.schema.errors import CallErrorEnvelopeSerializer
from proxy.schema.fields import JSONSchema, either


class EventDataField(serializers.Field[Any, Any, Any, Any]):
    """`[DONE]`, or a chunk or an error as JSON."""


class EventDataExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # its registry
    target_class = EventDataField

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> JSONSchema:
        contents = [ChatCompletionChunkSerializer, CallErrorEnvelopeSerializer]
        refs = [auto_schema.resolve_serializer(content, direction).ref for content in contents]
        json_text = {"type": "string", "contentMediaType": "application/json", "contentSchema": {"oneOf": refs}}
        return either({"const": "[DONE]"}, json_text)


class ChatCompletionEventSerializer(serializers.Serializer[Any]):
    """One event of a stream."""

    data: Any = EventDataField(help_text="`[DONE]` at the end of a whole answer; before it a piece of the answer.")


def written(*contents: dict[str, Any]) -> str:
    """Events with this data, as they come over the wire."""
    return "".join(f"data: {json.dumps(content)}\n\n" for content in contents)
