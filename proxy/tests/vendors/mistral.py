"""Mistral's chat wire (https://docs.mistral.ai/api/#tag/chat): OpenAI's, with thinking as parts of the content."""

import json
from collections.abc import Sequence
from typing import Any

from proxy.tests.vendors.server import Ending, Stream, Whole

MODEL = "mistral-small-2506"
USAGE = {"prompt_tokens": 16, "completion_tokens": 34, "total_tokens": 50}


def answer(content: Any, finish_reason: str = "stop", **message: Any) -> Whole:
    """A complete answer; `message` adds to the message's fields."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **message},
        "finish_reason": finish_reason,
    }
    return Whole({**_common("chat.completion"), "choices": [choice], "usage": USAGE})


def error(status: int, message: str, **headers: str) -> Whole:
    body = {"object": "error", "message": message, "type": "invalid_request_error", "param": None, "code": "1500"}
    return Whole(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


def stream(*deltas: dict[str, Any], finish_reason: str = "stop", ending: Ending = Ending.CLEAN) -> Stream:
    """One chunk for each delta; the last one carries the finish reason and the usage."""
    chunks = [_chunk(delta, None) for delta in deltas]
    chunks.append({**_chunk({"content": ""}, finish_reason), "usage": USAGE})
    return Stream([*_encoded(chunks), b"data: [DONE]\n\n"], ending)


def tool_call(name: str, arguments: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"id": f"call{index}", "index": index, "function": {"name": name, "arguments": json.dumps(arguments)}}


def _chunk(delta: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {**_common("chat.completion.chunk"), "choices": [choice]}


def _common(kind: str) -> dict[str, Any]:
    return {"id": "cmpl-e5cc70bb28c444948073e77776eb30ef", "object": kind, "created": 1_700_000_000, "model": MODEL}


def _encoded(chunks: Sequence[dict[str, Any]]) -> list[bytes]:
    return [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
