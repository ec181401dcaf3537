"""Built-in models that need no key and no network: for the first five minutes, the tests and the benchmarks.

demo/echo          says back what it was told
demo/slow          the same after a second
demo/flaky         every second call fails with a 503
demo/down          refuses every connection
demo/ratelimited   answers 429 with Retry-After
demo/cut           breaks off in mid-answer
"""

import asyncio
import base64
import itertools
import re
import struct
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from proxy.upstreams.base import Answer, Event, Target
from proxy.upstreams.failures import ConnectFailed, ConnectionBroken, RateLimited, RequestRejected, ServerError
from proxy.upstreams.sse import event

SLOW_S = 1.0
RETRY_AFTER_S = 1.0
NAMES = frozenset({"echo", "slow", "flaky", "down", "ratelimited", "cut"})
EMBEDDING_LENGTH = 8
WORD = re.compile(r"\s*\S+")


class DemoUpstream:
    """Speaks the real protocol; token counts are words."""

    def __init__(self) -> None:
        self._flaky_calls = itertools.count(1)

    async def complete(self, target: Target, body: dict[str, Any]) -> Answer:
        """Answer with the last user message. Raises the failure that the model is named after."""
        await self._behave(target.model)
        if target.model == "cut":
            raise ConnectionBroken("The demo model broke off.")
        words = _words(body)
        message = {"role": "assistant", "content": "".join(words), "refusal": None}
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": _finish_reason(body)}
            for index in range(body.get("n") or 1)
        ]
        data = {
            **_head(target, "chat.completion"),
            "choices": choices,
            "usage": _usage(body, len(words) * len(choices)),
        }
        return Answer(orjson.dumps(data), data)

    async def stream(self, target: Target, body: dict[str, Any]) -> AsyncIterator[Sequence[Event]]:
        """The same, a word at a time."""
        await self._behave(target.model)
        head = _head(target, "chat.completion.chunk")
        words, count = _words(body), body.get("n") or 1
        yield [_chunk(head, index, {"role": "assistant", "content": ""}) for index in range(count)]
        for position, word in enumerate(words):
            yield [_chunk(head, index, {"content": word}) for index in range(count)]
            if target.model == "cut" and position == len(words) // 2:
                raise ConnectionBroken("The demo model broke off.")
            await asyncio.sleep(0)
        yield [_chunk(head, index, {}, _finish_reason(body)) for index in range(count)]
        yield [event({**head, "choices": [], "usage": _usage(body, len(words) * count)})]

    async def embed(self, target: Target, body: dict[str, Any]) -> Answer:
        """A vector for each input, made of its characters: stable, and of no meaning."""
        await self._behave(target.model)
        given = body["input"]
        is_one = isinstance(given, str) or isinstance(given[0], int)  # a text, or its tokens
        inputs = [given] if is_one else given
        vectors = [_vector(text) for text in inputs]
        written = map(_base64, vectors) if body.get("encoding_format") == "base64" else vectors
        data = {
            "object": "list",
            "model": target.model,
            "data": [{"object": "embedding", "index": i, "embedding": each} for i, each in enumerate(written)],
            "usage": {"prompt_tokens": len(inputs), "total_tokens": len(inputs)},
        }
        return Answer(orjson.dumps(data), data)

    async def close(self) -> None:
        pass

    async def _behave(self, model: str) -> None:
        if model not in NAMES:
            raise RequestRejected(f"There is no demo model “{model}”.", status=404, code="model_not_found")
        if model == "slow":
            await asyncio.sleep(SLOW_S)
        if model == "down":
            raise ConnectFailed("The demo model is down, as its name says.")
        if model == "ratelimited":
            raise RateLimited("The demo model is always rate limited.", retry_after_s=RETRY_AFTER_S)
        if model == "flaky" and next(self._flaky_calls) % 2 == 0:
            raise ServerError("The demo model fails every second call.", status=503)


def _head(target: Target, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": f"demo-{target.model}",
    }


def _chunk(head: dict[str, Any], index: int, delta: dict[str, Any], finish_reason: str | None = None) -> Event:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return event({**head, "choices": [choice]})


def _words(body: dict[str, Any]) -> list[str]:
    """The last message's words with the blanks before them, as many as max_tokens allows."""
    text = _text(body["messages"][-1].get("content")) or "Hello from the demo model."
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    return WORD.findall(text)[:limit] or ["Hello."]


def _finish_reason(body: dict[str, Any]) -> str:
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    return "length" if limit and len(_text(body["messages"][-1].get("content")).split()) > limit else "stop"


def _usage(body: dict[str, Any], completion: int) -> dict[str, Any]:
    prompt = sum(len(_text(message.get("content")).split()) for message in body["messages"])
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _text(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return content if isinstance(content, str) else ""


def _vector(item: Any) -> list[float]:
    vector = [0.0] * EMBEDDING_LENGTH
    for position, character in enumerate(str(item)):
        vector[position % EMBEDDING_LENGTH] += ord(character) / 1000
    return vector


def _base64(vector: list[float]) -> str:
    """As OpenAI writes it: floats of 32 bits, the low byte first."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
