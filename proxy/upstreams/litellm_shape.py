"""What litellm returns, in OpenAI's shape: no private fields, no empty extras, nulls only where OpenAI has them."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

from proxy.upstreams.base import Event
from proxy.upstreams.failures import MalformedAnswer
from proxy.upstreams.sse import event


def completion(response: Any) -> dict[str, Any]:
    """OpenAI's chat.completion object of a litellm ModelResponse; raises MalformedAnswer."""
    data = _reported(response)
    data["choices"] = [_whole_choice(choice) for choice in data.get("choices", ())]
    return data


def embeddings(response: Any) -> dict[str, Any]:
    """OpenAI's list of embeddings of a litellm EmbeddingResponse; raises MalformedAnswer."""
    return _reported(response)


class ChunkStream:
    """Turns the chunks that litellm reads from one stream into OpenAI's.

    The finish reasons are held back to the end: litellm writes "stop" into every chunk of some providers (Gemini), so
    what says more replaces it. So is the usage, which becomes the last chunk, as at OpenAI.
    """

    def __init__(self, model: str) -> None:
        self._common: dict[str, Any] = {"id": f"chatcmpl-{uuid.uuid4()}", "object": "chat.completion.chunk"}
        self._common |= {"created": int(time.time()), "model": model}
        self._finish_reasons: dict[int, str] = {}
        self._started: set[int] = set()
        self._usage: dict[str, Any] | None = None
        self._events = 0

    @property
    def is_finished(self) -> bool:
        """Whether every choice that began has a finish reason."""
        return bool(self._finish_reasons) and self._started <= self._finish_reasons.keys()

    def feed(self, chunk: Any) -> list[Event]:
        """The events for one chunk: none if it says nothing new. Raises MalformedAnswer for one that is no chunk."""
        data = _chunk(chunk)
        if not data:
            return []
        self._usage = data.pop("usage", None) or self._usage
        choices = list(self._speaking(data.pop("choices", None) or ()))
        if not choices:
            return []
        if self._events == 0:
            self._common |= {name: data[name] for name in self._common if name in data}
        self._events += 1
        return [event({**data, **self._common, "choices": choices})]

    def end(self) -> list[Event]:
        """The finish reasons, and the usage if the provider told it."""
        choices = [
            {"index": index, "delta": {}, "finish_reason": reason} for index, reason in self._finish_reasons.items()
        ]
        events = [event({**self._common, "choices": choices})]
        if self._usage:
            events.append(event({**self._common, "choices": [], "usage": self._usage}))
        return events

    def _speaking(self, choices: Any) -> Iterator[dict[str, Any]]:
        """The choices that say something, the first of each with its role."""
        for choice in choices:
            index = choice.get("index", 0)
            if reason := choice.pop("finish_reason", None):
                self._note(index, reason)
            delta = _delta(choice.pop("delta", {}))
            if not delta:
                continue
            if index not in self._started:
                self._started.add(index)
                delta = {"role": "assistant", **delta}
            yield {**choice, "index": index, "delta": delta, "finish_reason": None}

    def _note(self, index: int, reason: str) -> None:
        """litellm reads "stop" out of `[DONE]`, too: it says less than what the provider said before."""
        if reason != "stop" or index not in self._finish_reasons:
            self._finish_reasons[index] = reason


def _reported(response: Any) -> dict[str, Any]:
    """The response as plain data, with the model that the provider named rather than the one we asked for."""
    try:
        data: dict[str, Any] = response.model_dump()
        reported = response._hidden_params.get("provider_response_model")
    except AttributeError as error:
        raise MalformedAnswer("The provider's answer could not be read.") from error
    vectors = data.pop("data", None)
    data = _pruned(data)
    if vectors is not None:
        data["data"] = vectors
    if reported:
        data["model"] = reported
    return data


def _whole_choice(choice: dict[str, Any]) -> dict[str, Any]:
    message = _without_repeats(choice.get("message") or {})
    for call in message.get("tool_calls", ()):
        call.pop("index", None)
    return {
        **choice,
        "message": {**message, "content": message.get("content")},
        "finish_reason": choice.get("finish_reason"),
        "logprobs": choice.get("logprobs"),
    }


def _chunk(chunk: Any) -> dict[str, Any]:
    """One chunk as plain data. litellm's older providers give a GenericStreamingChunk, and None says nothing."""
    if chunk is None:
        return {}
    if isinstance(chunk, dict) and "is_finished" in chunk:
        return _generic_chunk(chunk)
    try:
        data: dict[str, Any] = _pruned(chunk.model_dump(exclude_unset=True, exclude_none=True))
    except AttributeError as error:
        raise MalformedAnswer("The provider streamed data that could not be read.") from error
    return data


def _generic_chunk(chunk: dict[str, Any]) -> dict[str, Any]:
    delta = {"content": chunk.get("text"), "tool_calls": [chunk["tool_use"]] if chunk.get("tool_use") else None}
    reason = chunk.get("finish_reason") if chunk["is_finished"] else None
    choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
    data: dict[str, Any] = _pruned({"choices": choices, "usage": chunk.get("usage")})
    return data


def _delta(delta: dict[str, Any]) -> dict[str, Any]:
    """What a delta says beyond its role; {} if that is nothing."""
    said = {name: value for name, value in delta.items() if name != "role" and value != ""}
    for call in said.get("tool_calls", ()):
        if "id" not in call:  # a further piece of a call
            call.pop("type", None)
    return _without_repeats(said)


def _without_repeats(message: dict[str, Any]) -> dict[str, Any]:
    """Without the extras that litellm puts beside the message's own fields and into them (thinking_blocks)."""
    extras = message.pop("provider_specific_fields", {})
    own = {name: value for name, value in extras.items() if name not in message}
    return {**message, "provider_specific_fields": own} if own else message


def _pruned(value: Any) -> Any:
    """Without nulls, empty lists and empty objects, at any depth."""
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for name, item in value.items():
        if isinstance(item, (dict, list)):
            if pruned := _pruned(item):
                kept[name] = pruned
        elif item is not None:
            kept[name] = item
    return kept
