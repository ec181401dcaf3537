"""Tenants with the same request never see each other's cached answer.

The provider marks each answer with the tenant that asked. It can tell the tenants apart, and the gateway's cache, which
goes by the canonical body, cannot: each tenant sends the body's fields in an order of its own.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from benchmarks.exactness.callers import Callers, Outcome, Wish, chat
from benchmarks.exactness.provider import ORDERS
from benchmarks.exactness.report import Report
from benchmarks.exactness.stage import Key, Stage

CLAIM = "The cache never gives one tenant another's answer, nor a caller another's"
REQUESTS = 100_000
AT_ONCE = 100
TENANTS = 6
PROMPTS = 200
STREAMS = 0.1
HANG_UPS = 0.15


def show(stage: Stage, scale: float = 1.0) -> Report:
    report, seen = Report(CLAIM), Counter[str]()
    requests = round(REQUESTS * scale)
    users = [
        {"name": f"cache-{number}", "users": [{"name": f"cache-{number}", "keys": [{}]}]} for number in range(TENANTS)
    ]
    keys = stage.make_cast(*users)

    def heard(outcome: Outcome) -> None:
        seen["hang-ups"] += outcome.hung_up
        seen[outcome.cache] += outcome.whole
        seen["broken"] += outcome.broken
        seen["canaries"] += bool(outcome.text)
        if outcome.text and outcome.text[0] != _canary(keys.index(outcome.wish.key), outcome.wish):
            report.differences.append(f"{outcome.wish.body['script']['id']}: {outcome.text[0]}")

    asyncio.run(Callers(stage.url).listen(_wishes(keys, requests), at_once=AT_ONCE, heard=heard))
    report.figures = {
        "requests": f"{requests:,}",
        "tenants, prompts that all of them send": f"{TENANTS}, {PROMPTS}",
        "hang-ups": f"{seen['hang-ups']:,}",
        "whole answers from the cache": f"{seen['hit']:,}",
        "whole answers from the provider": f"{seen['miss'] + seen['bypass']:,}",
        "canaries looked at": f"{seen['canaries']:,}",
        "mixes": f"{len(report.differences):,}",
    }
    report.expect(seen["broken"], 0, "broken connections")
    report.expect(seen["hit"] > requests // 10, True, "many answers came from the cache")
    return report


def _wishes(keys: list[Key], requests: int) -> Iterator[Wish]:
    for number in range(requests):
        tenant = random.randrange(TENANTS)
        prompt = int(PROMPTS * random.random() ** 3)  # some are asked far more often
        body = _in_order_of(tenant, _body(prompt, stream=random.random() < STREAMS))
        hang_up_s = random.uniform(0, 0.04) if random.random() < HANG_UPS else None
        yield Wish(f"c{number}", keys[tenant], body, hang_up_s)


def _body(prompt: int, *, stream: bool) -> dict[str, Any]:
    script = {"id": f"c{prompt:03}", "prompt_tokens": 10, "completion_tokens": 3, "pause_s": prompt % 20 / 1000}
    return chat(script, model="cached", stream=stream, prompt=f"Prompt {prompt}")


def _in_order_of(tenant: int, body: dict[str, Any]) -> dict[str, Any]:
    return {**dict.fromkeys(ORDERS[tenant], 0.5), **body}


def _canary(tenant: int, wish: Wish) -> str:
    return f"canary-{tenant} {wish.body['script']['id']}"
