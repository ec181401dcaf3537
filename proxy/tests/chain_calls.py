"""Chats with a chain, and what its answer says."""

import httpx

from conftest import Cast, LiveGateway

MESSAGES = [{"role": "user", "content": "Hi"}]


def ask(gateway: LiveGateway, cast: Cast, model: str = "chain", **fields: object) -> httpx.Response:
    """A chat of alice's."""
    body = {"model": model, "messages": MESSAGES, **fields}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=cast.alice.headers, timeout=20)


def content(response: httpx.Response) -> str:
    return str(response.json()["choices"][0]["message"]["content"])


def codes(response: httpx.Response) -> list[tuple[str, str]]:
    """Of a failed chain: each attempt's model, and what became of it."""
    return [(attempt["model"], attempt["code"]) for attempt in response.json()["error"]["attempts"]]
