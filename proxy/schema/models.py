"""`GET /v1/models` and `/v1/models/{name}`."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

from proxy.schema.document import CREDENTIALS
from proxy.schema.errors import refusals
from proxy.schema.fields import constant


class ModelSerializer(serializers.Serializer[Any]):
    """A chain or a model, in OpenAI's shape."""

    id = serializers.CharField(help_text="The name to send as `model`.")
    object = constant("model")
    created = serializers.IntegerField(help_text="0: when it was made is not told.")
    owned_by = serializers.CharField(help_text="A model's provider; `gateway` for a chain.")
    links = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="The models of a chain, in order. Only chains have it."
    )


class ModelListSerializer(serializers.Serializer[Any]):
    object = constant("list")
    data: Any = ModelSerializer(many=True)


CHAIN = {"id": "demo", "object": "model", "created": 0, "owned_by": "gateway", "links": ["demo/down", "demo/echo"]}
MODEL = {"id": "demo/echo", "object": "model", "created": 0, "owned_by": "demo"}

list_models = extend_schema(
    operation_id="list_models",
    tags=["models"],
    summary="List what you may use",
    description="Chains first, the chain `default` first of all, then models.",
    auth=CREDENTIALS,
    responses={
        200: OpenApiResponse(
            ModelListSerializer,
            "Everything that may be sent as `model`.",
            [OpenApiExample("answer", {"object": "list", "data": [CHAIN, MODEL]})],
        ),
        **refusals(401, 403, 405, 503),
    },
)

retrieve_model = extend_schema(
    operation_id="retrieve_model",
    tags=["models"],
    summary="Look at one chain or model",
    description="Says which models a chain asks, and whether you may use it.",
    auth=CREDENTIALS,
    parameters=[
        OpenApiParameter(
            "name",
            str,
            OpenApiParameter.PATH,
            description="A chain or model. A slash may be sent as it is or as `%2F`.",
            examples=[OpenApiExample("a chain", "demo"), OpenApiExample("a model", "demo/echo")],
        )
    ],
    responses={
        200: OpenApiResponse(
            ModelSerializer, "It is there.", [OpenApiExample("a chain", CHAIN), OpenApiExample("a model", MODEL)]
        ),
        **refusals(401, 403, 404, 405, 503),
    },
)
