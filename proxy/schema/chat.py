"""`POST /v1/chat/completions` and `/chat/fallback_completion`."""

from typing import Any

from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiRequest,
    OpenApiResponse,
    PolymorphicProxySerializer,
    extend_schema,
)
from rest_framework import serializers

from proxy.schema.completions import ChatCompletionChunkSerializer, ChatCompletionSerializer
from proxy.schema.document import CREDENTIALS
from proxy.schema.errors import CALL_REFUSALS, REFUSALS, CallErrorEnvelopeSerializer
from proxy.schema.headers import ANSWERS, OPTIONS, STREAM_GUARD
from proxy.schema.requests import ChatCompletionRequestSerializer, FallbackCompletionRequestSerializer

MESSAGES = [{"role": "user", "content": "Hello"}]
HEAD = {"id": "chatcmpl-5f0c1e", "created": 1_763_900_000, "model": "demo-echo"}
COMPLETION = {
    **HEAD,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
CHUNK = {
    **HEAD,
    "object": "chat.completion.chunk",
    "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}],
}

# OpenAI's way to describe a stream: the schema is that of one event's data.
STREAM_EVENT = PolymorphicProxySerializer(
    "ChatCompletionEvent",
    [ChatCompletionChunkSerializer, CallErrorEnvelopeSerializer],
    resource_type_field_name=None,
)
ANSWERED = (
    "The answer. With `stream: true` as server-sent events: described is what stands after `data:` in each. Comments "
    "(`: keep-alive`) may come between. A whole answer ends with `data: [DONE]`; one that breaks off in the middle "
    "ends with an event that has `error`, and without `[DONE]`."
)


def create(
    operation_id: str,
    summary: str,
    description: str,
    body: type[serializers.Serializer[Any]],
    examples: dict[str, dict[str, Any]],
) -> Any:
    """The decorator of an operation that answers a chat."""
    return extend_schema(
        operation_id=operation_id,
        tags=["chat"],
        summary=summary,
        description=description,
        auth=CREDENTIALS,
        parameters=[*OPTIONS, STREAM_GUARD, *ANSWERS],
        request=OpenApiRequest(body, examples=[OpenApiExample(name, value) for name, value in examples.items()]),
        responses={
            (200, "application/json"): OpenApiResponse(
                ChatCompletionSerializer, ANSWERED, [OpenApiExample("answer", COMPLETION)]
            ),
            (200, "text/event-stream"): OpenApiResponse(
                STREAM_EVENT, examples=[OpenApiExample("chunk", CHUNK), REFUSALS[502].example()]
            ),
            **CALL_REFUSALS,
        },
    )


create_chat_completion = create(
    "create_chat_completion",
    "Answer a chat",
    "Asks a model, or the models of a chain in order until one answers. Everything that OpenAI's API takes is passed "
    "on: tools, structured outputs, images, and fields that only one provider knows. The headers tell who answered.",
    ChatCompletionRequestSerializer,
    {
        "a question": {"model": "demo", "messages": MESSAGES},
        "streamed": {"model": "demo", "messages": MESSAGES, "stream": True},
        "with a further model": {"model": "demo/flaky", "fallbacks": ["demo/echo"], "messages": MESSAGES},
    },
)

create_fallback_completion = create(
    "create_fallback_completion",
    "Answer a chat with the first of a list of models",
    "The same as `POST /v1/chat/completions`, with the chains and models to try named in the request.",
    FallbackCompletionRequestSerializer,
    {"the first is down": {"models": ["demo/down", "demo/echo"], "messages": MESSAGES}},
)
