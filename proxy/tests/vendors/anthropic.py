"""Anthropic's Messages wire (https://docs.anthropic.com/en/api/messages, …/messages-streaming, …/errors)."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from proxy.tests.vendors.server import Ending, Stream, Whole

MODEL = "claude-haiku-4-5-20251001"
USAGE = {"input_tokens": 25, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 15}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def tool_use(name: str, arguments: dict[str, Any], id: str = "toolu_01A09q90qw90lq917835lq9") -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": arguments}


def thinking(value: str, signature: str = "EqQBCgIYAhIM1gbcDa9GJwZA2b3h") -> dict[str, Any]:
    return {"type": "thinking", "thinking": value, "signature": signature}


def message(*content: dict[str, Any], stop_reason: str = "end_turn", usage: dict[str, int] = USAGE) -> Whole:
    """A complete answer with these content blocks."""
    return Whole(_message(content, stop_reason, usage), headers={"request-id": "req_018EeWyXxfu5pfWkrYcMdjWG"})


def error(status: int, type: str, message: str, **headers: str) -> Whole:
    body = {"type": "error", "error": {"type": type, "message": message}, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}
    return Whole(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


def stream(
    *content: dict[str, Any],
    stop_reason: str = "end_turn",
    usage: dict[str, int] = USAGE,
    stop_after: int | None = None,
    ending: Ending = Ending.CLEAN,
) -> Stream:
    """The same answer as server-sent events; only the first `stop_after` of them if given."""
    return Stream(_encoded(stream_events(content, stop_reason, usage))[:stop_after], ending)


def stream_with_error(*content: dict[str, Any], type: str, message: str) -> Stream:
    """A stream that breaks off with an `error` event in the middle of its text."""
    events = stream_events(content, "end_turn", USAGE)[:-3]
    return Stream(_encoded([*events, {"type": "error", "error": {"type": type, "message": message}}]))


def stream_events(content: Sequence[dict[str, Any]], stop_reason: str, usage: dict[str, int]) -> list[dict[str, Any]]:
    """message_start, ping, each block's start, deltas and stop, message_delta, message_stop."""
    start = _message((), None, {**usage, "output_tokens": 1})
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(content):
        opened, deltas = _pieces(block)
        events.append({"type": "content_block_start", "index": index, "content_block": opened})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": stop_reason, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage["output_tokens"]}})
    return [*events, {"type": "message_stop"}]


def _pieces(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How a block starts, and its deltas: text word by word, a tool's input as fragments of JSON, a signature last."""
    if block["type"] == "text":
        words = block["text"].split(" ")
        words = [word + " " for word in words[:-1]] + words[-1:]
        cited = [{"type": "citations_delta", "citation": citation} for citation in block.get("citations", ())]
        return {"type": "text", "text": ""}, [*({"type": "text_delta", "text": word} for word in words), *cited]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": block["thinking"]}]
        return {**block, "thinking": "", "signature": ""}, [
            *deltas,
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    if "input" not in block:  # a result, which comes in one piece
        return block, []
    written = json.dumps(block["input"])
    fragments = ["", *(written[at : at + 7] for at in range(0, len(written), 7))]
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in fragments]


def _encoded(events: Iterable[dict[str, Any]]) -> list[bytes]:
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def _message(content: Sequence[dict[str, Any]], stop_reason: str | None, usage: dict[str, int]) -> dict[str, Any]:
    return {
        "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": list(content),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }
