"""Comparisons with an `Idempotency-Key`, and what the tests look at in their answers."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx

from comparisons.tests.conftest import PROMPT
from conftest import Cast, Catalogue, LiveGateway, wait_until
from proxy.tests.fake_provider import FakeProvider, Gate, chunks, stream
from proxy.tests.processes import WebProcess

KEY = {"Idempotency-Key": "order 1"}
BODY: dict[str, Any] = {"models": ["fake/one", "fake/two"], "prompt": PROMPT}


def add_models(catalogue: Catalogue, provider: FakeProvider) -> None:
    """Those of BODY, which say something else when they are asked a second time."""
    for name, word in (("one", "Paris"), ("two", "Lyon")):
        catalogue.model(f"fake/{name}")
        provider.on(name, stream(chunks(word)), stream(chunks("anew")))


def gate_of_the_first(provider: FakeProvider) -> Gate:
    """What the first model's answer waits for."""
    gate = Gate(stream(chunks("Paris")))
    provider.on("one", gate, stream(chunks("anew")))
    return gate


def ask(
    at: LiveGateway | WebProcess, cast: Cast, headers: dict[str, str] | None = None, **fields: Any
) -> httpx.Response:
    """Alice's, with fields that replace those of BODY."""
    headers = {**cast.alice.headers, **KEY, **(headers or {})}
    return httpx.post(f"{at.url}/compare_models", json={**BODY, **fields}, headers=headers, timeout=30)


def later(pool: ThreadPoolExecutor, *args: Any, **fields: Any) -> "Future[httpx.Response]":
    return pool.submit(ask, *args, **fields)


def contents(response: httpx.Response) -> list[str]:
    return [answer["content"] for answer in response.json()["answers"]]


def is_replay(response: httpx.Response) -> bool:
    return bool(response.headers.get("idempotent-replayed") == "true")


def both_asked(provider: FakeProvider) -> None:
    wait_until(lambda: len(provider.received) >= 2, "the models to be asked")
