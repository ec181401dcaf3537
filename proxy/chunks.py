"""A whole chat completion as the stream that a caller who asked for one expects."""

from collections.abc import Iterator
from typing import Any

from proxy.upstreams.sse import DONE, event

# Of the completion, what does not stand in every chunk as it is; of a choice, what goes into its chunks in parts.
WHOLE = frozenset({"object", "choices", "usage"})
PARTS = frozenset({"index", "message", "finish_reason"})


def as_stream(completion: dict[str, Any], *, usage_chunk: bool) -> bytes:
    """OpenAI's events, `[DONE]` at the end: role, what was said, finish_reason of each choice; the usage if asked for.

    `completion` has choices with messages, as `proxy.meter` makes sure of before an answer is kept.
    """
    return b"".join([event(chunk).raw for chunk in chunks_of(completion, usage_chunk=usage_chunk)]) + DONE


def chunks_of(completion: dict[str, Any], *, usage_chunk: bool = False) -> Iterator[dict[str, Any]]:
    """The same as chat.completion.chunks."""
    common = {name: value for name, value in completion.items() if name not in WHOLE}
    head = {**common, "object": "chat.completion.chunk"}
    for place, choice in enumerate(completion["choices"]):
        index = choice.get("index", place)
        said = {"index": index, **{name: value for name, value in choice.items() if name not in PARTS}}
        role, delta = _begin(choice["message"]), _delta(choice["message"])
        yield {**head, "choices": [{"index": index, "delta": role, "finish_reason": None}]}
        yield {**head, "choices": [{**said, "delta": delta, "finish_reason": None}]}
        yield {**head, "choices": [{"index": index, "delta": {}, "finish_reason": choice.get("finish_reason")}]}
    if usage_chunk and completion.get("usage"):
        yield {**head, "choices": [], "usage": completion["usage"]}


def _begin(message: dict[str, Any]) -> dict[str, Any]:
    content = "" if isinstance(message.get("content"), str) else None
    return {"role": message.get("role") or "assistant", "content": content}


def _delta(message: dict[str, Any]) -> dict[str, Any]:
    """What the message says; its tool calls with the places that a client puts their pieces together by."""
    delta = {name: value for name, value in message.items() if name != "role" and value is not None}
    if isinstance(calls := delta.get("tool_calls"), list):
        delta["tool_calls"] = [
            {**call, "index": place} if isinstance(call, dict) else call for place, call in enumerate(calls)
        ]
    return delta
