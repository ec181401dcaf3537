"""Streamed comparisons: what one named event holds (see `proxy.schema.streams` for how events are described)."""

import json
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import Direction
from rest_framework import serializers

from accounts.serializers import ErrorEnvelopeSerializer
from comparisons.schema.answers import (
    ANSWERED,
    COMPARISON,
    HEAD,
    UNANSWERED,
    AnswerHeadSerializer,
    AnswerSerializer,
    ComparisonHeadSerializer,
    ComparisonSerializer,
)
from proxy.schema.fields import JSONSchema, SchemaField

EVENTS = [
    "comparison.created",
    "answer.started",
    "answer.delta",
    "answer.done",
    "answer.error",
    "comparison.done",
    "error",
]


class AnswerDeltaSerializer(serializers.Serializer[Any]):
    """A piece of one answer."""

    slot = serializers.IntegerField()
    delta = serializers.CharField(allow_blank=True, help_text="Text.")
    reasoning = serializers.CharField(required=False, help_text="What the model thinks, where it tells.")


class ComparisonEventDataField(serializers.Field[Any, Any, Any, Any]):
    """What the event is about, as JSON."""


class ComparisonEventDataExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # its registry
    target_class = ComparisonEventDataField

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> JSONSchema:
        contents = [
            ComparisonSerializer,
            AnswerHeadSerializer,
            AnswerDeltaSerializer,
            AnswerSerializer,
            ComparisonHeadSerializer,
            ErrorEnvelopeSerializer,
        ]
        refs = [auto_schema.resolve_serializer(content, direction).ref for content in contents]
        return {"type": "string", "contentMediaType": "application/json", "contentSchema": {"anyOf": refs}}


class ComparisonEventSerializer(serializers.Serializer[Any]):
    """One event of a streamed comparison."""

    event = serializers.ChoiceField(EVENTS)
    id = SchemaField({"type": "string", "pattern": "^[0-9]+$"}, help_text="The events' sequence, from 1.")
    data: Any = ComparisonEventDataField()


def _named(*events: tuple[str, dict[str, Any]]) -> str:
    return "".join(
        f"event: {name}\nid: {number}\ndata: {json.dumps(data)}\n\n" for number, (name, data) in enumerate(events, 1)
    )


def _head(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: answer[name] for name in ("slot", "label", "requested_model", "request_id")}


STREAM = _named(
    ("comparison.created", {**COMPARISON, "status": "running"}),
    ("answer.started", _head(ANSWERED)),
    ("answer.started", _head(UNANSWERED)),
    ("answer.error", UNANSWERED),
    ("answer.delta", {"slot": 0, "delta": "Hello"}),
    ("answer.done", ANSWERED),
    ("comparison.done", HEAD),
)
