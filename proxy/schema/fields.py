"""What the serializers of this package are made of."""

import copy
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction
from rest_framework import serializers

JSONSchema = dict[str, Any]

TEXT: JSONSchema = {"type": "string"}
OBJECT: JSONSchema = {"type": "object", "additionalProperties": True}


def list_of(items: JSONSchema) -> JSONSchema:
    return {"type": "array", "items": items}


def either(*schemas: JSONSchema) -> JSONSchema:
    return {"anyOf": list(schemas)}


def optional(help_text: str = "") -> dict[str, Any]:
    """Keywords of a field that may be left out or null."""
    return {"required": False, "allow_null": True, "help_text": help_text}


class SchemaField(serializers.Field[Any, Any, Any, Any]):
    """A field that brings its own JSON Schema, for what REST framework's fields cannot say."""

    def __init__(self, schema: JSONSchema, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.json_schema = schema


def constant(value: str) -> SchemaField:
    return SchemaField({"type": "string", "const": value})


class SchemaFieldExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # its registry
    target_class = SchemaField

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> JSONSchema:
        schema: JSONSchema = copy.deepcopy(self.target.json_schema)
        return schema


class PassedThroughSerializer(serializers.Serializer[Any]):
    """An object that goes from caller to provider, or back, as it is: with fields that are not described here, too."""


class PassedThroughExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    target_class = PassedThroughSerializer
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> JSONSchema:
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # type: ignore[no-untyped-call]
        return {**schema, "additionalProperties": True}
