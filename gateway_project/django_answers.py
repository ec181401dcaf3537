"""What the answers of Django's own handler lack: headers that the API's contract promises on every answer."""

import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from accounts.views.errors import API_PREFIXES
from proxy.http.asgi import Send
from proxy.http.view import gateway_headers


def completed(send: Send, path: str, request_id: str) -> Callable[[Mapping[str, Any]], Awaitable[None]]:
    """A `send` that adds the request's id, and where the API answers the gateway's headers, too."""
    began = time.perf_counter()

    async def send_completed(event: Mapping[str, Any]) -> None:
        message = dict(event)
        if message["type"] == "http.response.start":
            present = {name.lower(): value for name, value in message.get("headers", ())}
            ours = {"x-request-id": request_id}
            if _is_of_the_api(path, message["status"], present.get(b"content-type", b"")):
                ours |= gateway_headers(began)
            missing = [(name.encode(), value.encode()) for name, value in ours.items() if name.encode() not in present]
            message["headers"] = [*message.get("headers", ()), *missing]
        await send(message)

    return send_completed


def _is_of_the_api(path: str, status: int, content_type: bytes) -> bool:
    """Its routes, and at any other address the errors of those who are no browser."""
    is_error = status >= HTTPStatus.BAD_REQUEST and content_type == b"application/json"
    return is_error or path.startswith(API_PREFIXES)
