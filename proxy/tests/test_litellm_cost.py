"""What a call to Anthropic costs in calls of Python functions, litellm's included: a count is the same on any machine.

A release of litellm that goes above a ceiling translates more slowly. What to do then: profile, and see 0017 in
docs/decisions/.
"""

from typing import Any

import pytest

from proxy.tests.call_count import counted
from proxy.tests.vendors import anthropic
from proxy.tests.vendors.reading import listen
from proxy.tests.vendors.server import Vendor
from proxy.upstreams.base import Target
from proxy.upstreams.litellm_wire import LitellmWire

CALLS_AN_ANSWER = 550
CALLS_A_CHUNK = 90

ANSWERS, WORDS = 20, 500
COUNTED = ("/proxy/upstreams/", "/site-packages/litellm/", "/site-packages/pydantic/", "/site-packages/httpx/")
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 64}


@pytest.fixture
def target(vendor: Vendor) -> Target:
    return Target("anthropic", "anthropic", "litellm", vendor.url, "sk-test", "claude-haiku-4-5")


async def test_an_answer_takes_no_more_calls_than_it_did(vendor: Vendor, target: Target):
    wire = LitellmWire()
    vendor.reply = anthropic.message(anthropic.text("Hello to you."))
    await wire.complete(target, HELLO)  # what is imported and looked up once

    with counted(*COUNTED) as count:
        for _ in range(ANSWERS):
            await wire.complete(target, HELLO)

    await wire.close()
    assert 0 < count.calls / ANSWERS <= CALLS_AN_ANSWER


async def test_a_chunk_takes_no_more_calls_than_it_did(vendor: Vendor, target: Target):
    wire = LitellmWire()
    vendor.reply = anthropic.stream(anthropic.text("word " * WORDS))
    await listen(wire.stream(target, HELLO))

    with counted(*COUNTED) as count:
        heard = await listen(wire.stream(target, HELLO))

    await wire.close()
    assert len(heard.chunks) >= WORDS
    assert 0 < count.calls / WORDS <= CALLS_A_CHUNK
