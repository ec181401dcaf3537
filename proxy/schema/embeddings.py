"""`POST /v1/embeddings`."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiRequest, OpenApiResponse, extend_schema
from rest_framework import serializers

from proxy.schema.document import CREDENTIALS
from proxy.schema.errors import CALL_REFUSALS
from proxy.schema.fields import PassedThroughSerializer, SchemaField, constant, either, optional
from proxy.schema.headers import ANSWERS, OPTIONS
from proxy.schema.requests import NameField


class EmbeddingRequestSerializer(PassedThroughSerializer):
    """OpenAI's request. Other fields go to the provider as they are."""

    model = NameField(help_text="The chain or model to ask.")
    input = SchemaField(
        either({"type": "string", "minLength": 1}, {"type": "array", "minItems": 1}),
        help_text="A text or a list of texts; also tokens, where the provider takes them.",
    )
    dimensions = serializers.IntegerField(required=False, help_text="How long the vectors shall be.")
    encoding_format = serializers.CharField(required=False, help_text="`float` or `base64`.")
    user = serializers.CharField(**optional("Your name for the end user, passed to the provider."))


class EmbeddingSerializer(PassedThroughSerializer):
    """The vector of one text."""

    object = constant("embedding")
    index = serializers.IntegerField()
    embedding = SchemaField(
        either({"type": "array", "items": {"type": "number"}}, {"type": "string"}), help_text="Base64 if asked for."
    )


class EmbeddingUsageSerializer(PassedThroughSerializer):
    """Tokens, as the provider counted them."""

    prompt_tokens = serializers.IntegerField(min_value=0)
    total_tokens = serializers.IntegerField(min_value=0)


class EmbeddingListSerializer(PassedThroughSerializer):
    """The provider's own answer. `model` is the model that the provider reports."""

    object = constant("list")
    model = serializers.CharField()
    data: Any = EmbeddingSerializer(many=True)
    usage = EmbeddingUsageSerializer(**optional())


ANSWER = {
    "object": "list",
    "model": "echo",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.072, 0.101, 0.108, 0.108, 0.111, 0.0, 0.0, 0.0]}],
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}

create_embedding = extend_schema(
    operation_id="create_embedding",
    tags=["embeddings"],
    summary="Embed texts",
    description="Asks a model, or the models of a chain in order until one answers.",
    auth=CREDENTIALS,
    parameters=[*OPTIONS, *ANSWERS],
    request=OpenApiRequest(
        EmbeddingRequestSerializer,
        examples=[
            OpenApiExample("a text", {"model": "demo", "input": "Hello"}),
            OpenApiExample("several texts", {"model": "demo", "input": ["Hello", "Good-bye"]}),
        ],
    ),
    responses={
        200: OpenApiResponse(EmbeddingListSerializer, "A vector for each text.", [OpenApiExample("answer", ANSWER)]),
        **CALL_REFUSALS,
    },
)
