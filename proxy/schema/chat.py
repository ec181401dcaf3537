"""`POST /v1/chat/completions` and `/chat/fallback_completion`."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiRequest, OpenApiResponse, extend_schema
from rest_framework import serializers

from proxy.schema.completions import ChatCompletionSerializer
from proxy.schema.document import CREDENTIALS
from proxy.schema.errors import CALL_REFUSALS, Refusal, attempt
from proxy.schema.headers import ANSWERS, OPTIONS, STREAM_GUARD
from proxy.schema.requests import ChatCompletionRequestSerializer, FallbackCompletionRequestSerializer
from proxy.schema.streams import ChatCompletionEventSerializer, written

MESSAGES = [{"role": "user", "content": "Hello"}]
HEAD = {"id": "chatcmpl-5f0c1e", "created": 1_763_900_000, "model": "demo-echo"}
COMPLETION = {
    **HEAD,
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
CHUNK_HEAD = {**HEAD, "object": "chat.completion.chunk"}
CHUNKS = [
    {**CHUNK_HEAD, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
    {**CHUNK_HEAD, "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}]},
]
LAST_CHUNK = {**CHUNK_HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
BROKEN_OFF = Refusal(
    "",
    "upstream_error",
    "stalled",
    "The model broke off in mid-answer (stalled). What came so far is incomplete: ask again.",
    attempts=[attempt("demo/echo", None, "stalled", 60_000)],
)
STREAMS = {
    "a whole answer": written(*CHUNKS, LAST_CHUNK) + "data: [DONE]\n\n",
    "an answer that breaks off": written(*CHUNKS, BROKEN_OFF.body()),
}
ANSWERED = (
    "The answer. With `stream: true` it comes as server-sent events (`text/event-stream`) while the model writes; "
    "comments (`: keep-alive`) may come between. A whole answer ends with `data: [DONE]`; one that breaks off in the "
    "middle ends with an event that has `error`, and without `[DONE]`."
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
                ChatCompletionEventSerializer,
                examples=[OpenApiExample(name, stream) for name, stream in STREAMS.items()],
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
