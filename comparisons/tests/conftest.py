"""Comparing, as a caller does it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from comparisons.recording.drain import drain
from conftest import Cast, LiveGateway, Member, wait_until

PROMPT = "What is the capital of France?"


@pytest.fixture
def http(gateway: LiveGateway, cast: Cast) -> httpx.Client:
    """Alice's, at the gateway."""
    return httpx.Client(base_url=gateway.url, headers=cast.alice.headers, timeout=30)


@pytest.fixture
def compare(http: httpx.Client) -> Callable[..., httpx.Response]:
    """POST /compare_models: a prompt for models, and further fields."""

    def post(*models: Any, member: Member | None = None, **fields: Any) -> httpx.Response:
        asked = fields.keys() & {"messages", "prompt"}
        body = {"models": list(models), **({} if asked else {"prompt": PROMPT}), **fields}
        return http.post("/compare_models", json=body, headers=member.headers if member else None)

    return post


@pytest.fixture
def ended(http: httpx.Client) -> Callable[[str], dict[str, Any]]:
    """A stored comparison, once it is not running any more."""

    def stored(comparison_id: str) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def has_ended() -> bool:
            drain()
            response = http.get(f"/v1/comparisons/{comparison_id}")
            assert response.status_code == 200, response.text
            found.update(response.json())
            return bool(found["status"] != "running")

        wait_until(has_ended, "the comparison to end")
        return found

    return stored
