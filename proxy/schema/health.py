"""`GET /health`, `/health/ready` and `/`."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers

from proxy.schema.errors import refusals
from proxy.schema.fields import SchemaField, constant

PART = {"type": "string", "examples": ["ok", "unavailable"]}


class HealthSerializer(serializers.Serializer[Any]):
    status = constant("ok")
    service = serializers.CharField()


class ReadinessChecksSerializer(serializers.Serializer[Any]):
    """`ok`, or what is wrong."""

    database = SchemaField(PART)
    redis = SchemaField(PART)
    catalogue = SchemaField(PART)


class ReadinessSerializer(serializers.Serializer[Any]):
    status = SchemaField({"type": "string", "enum": ["ready", "not_ready"]})
    checks = ReadinessChecksSerializer()


LIVES = {"status": "ok", "service": "llm-gateway-proxy"}
READY = {"status": "ready", "checks": {"database": "ok", "redis": "ok", "catalogue": "ok"}}
NOT_READY = {"status": "not_ready", "checks": {"database": "ok", "redis": "unavailable", "catalogue": "ok"}}

get_health = extend_schema(
    operation_id="get_health",
    tags=["health"],
    summary="Check that the process lives",
    description="Says nothing about what it depends on: see `/health/ready`.",
    auth=[],
    responses={
        200: OpenApiResponse(HealthSerializer, "It does.", [OpenApiExample("answer", LIVES)]),
        **refusals(405),
    },
)

get_readiness = extend_schema(
    operation_id="get_readiness",
    tags=["health"],
    summary="Check that calls can be answered",
    description="Asks the database and Redis, and whether chains and models are loaded.",
    auth=[],
    responses={
        200: OpenApiResponse(ReadinessSerializer, "They can.", [OpenApiExample("ready", READY)]),
        503: OpenApiResponse(ReadinessSerializer, "Something is missing.", [OpenApiExample("not ready", NOT_READY)]),
        **refusals(405),
    },
)

get_landing = extend_schema(
    operation_id="get_landing",
    tags=["health"],
    summary="Show the front page",
    description="A page for browsers (`Accept: text/html`); for everything else the same as `/health`.",
    auth=[],
    responses={
        (200, "application/json"): OpenApiResponse(
            HealthSerializer, "The page, or a sign of life.", [OpenApiExample("answer", LIVES)]
        ),
        (200, "text/html"): OpenApiResponse(str),
        **refusals(405),
    },
)
