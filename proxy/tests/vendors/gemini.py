"""Gemini's generateContent and streamGenerateContent wire (https://ai.google.dev/api/generate-content)."""

import json
from collections.abc import Sequence
from typing import Any

from proxy.tests.vendors.server import Ending, Stream, Whole

MODEL = "gemini-2.5-flash-preview-09-2025"
USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 12, "totalTokenCount": 21}


def text(value: str) -> dict[str, Any]:
    return {"text": value}


def function_call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": arguments}}


def answer(*parts: dict[str, Any], finish_reason: str = "STOP", usage: dict[str, int] = USAGE) -> Whole:
    """A complete answer with these parts."""
    return Whole(_response(parts, finish_reason, usage))


def error(status: int, name: str, message: str, details: Sequence[dict[str, Any]] = ()) -> Whole:
    """Google's error body (google.rpc.Status)."""
    return Whole({"error": _status(status, name, message, details)}, status)


def retry_info(delay: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def stream(
    *parts: dict[str, Any],
    finish_reason: str | None = "STOP",
    usage: dict[str, int] = USAGE,
    ending: Ending = Ending.CLEAN,
) -> Stream:
    """One event for each part; the last one carries the finish reason."""
    reasons = [None] * (len(parts) - 1) + [finish_reason]
    responses = [_response([part], reason, usage) for part, reason in zip(parts, reasons, strict=True)]
    return Stream([_encoded(response) for response in responses], ending)


def streamed(answer: Whole) -> Stream:
    """An answer in one event."""
    return Stream([_encoded(answer.body)])


def blocked(reason: str) -> Whole:
    """What a prompt gets that is not let through to the model."""
    usage = {"promptTokenCount": 8, "totalTokenCount": 8}
    return Whole({"promptFeedback": {"blockReason": reason}, "usageMetadata": usage, "modelVersion": MODEL})


def stream_with_error(*parts: dict[str, Any], status: int, name: str, message: str) -> Stream:
    """A stream that breaks off with an error object."""
    responses = [_response([part], None, USAGE) for part in parts]
    return Stream([_encoded(item) for item in [*responses, {"error": _status(status, name, message, ())}]])


def embeddings(*vectors: list[float]) -> Whole:
    return Whole({"embeddings": [{"values": vector} for vector in vectors]})


def _status(code: int, name: str, message: str, details: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"code": code, "message": message, "status": name, "details": list(details)}


def _response(parts: Sequence[dict[str, Any]], finish_reason: str | None, usage: dict[str, int]) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    return {
        "candidates": [candidate],
        "usageMetadata": {
            **usage,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage["promptTokenCount"]}],
        },
        "modelVersion": MODEL,
        "responseId": "mAitaLmkHPPlz7IPvtfUqQ4",
    }


def _encoded(response: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(response)}\r\n\r\n".encode()
