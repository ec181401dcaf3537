import asyncio
from typing import Any

from django.core.management.base import BaseCommand

from accounts.callers import Caller
from accounts.models import User
from comparisons import underway
from comparisons.admission import deciding
from comparisons.begin import Wanted, begin
from comparisons.models import Comparison
from comparisons.models.comparison import Source
from comparisons.recording.drain import drain as drain_comparisons
from comparisons.request import ComparisonRequest
from proxy.gateway import Gateway
from proxy.options import Options
from proxy.usage.drain import drain as drain_usage

CALLER = "demo"
CHECKLIST = """Here is a **checklist** for code reviews:

1. Does it do what the issue says?
2. Is there a test that fails without it?
3. Would a newcomer understand the names?

| question | who asks it |
| --- | --- |
| Is it needed? | everyone |
| Is it fast enough? | whoever is on call |

> Kindness is part of the review.
"""
ASKED: list[dict[str, Any]] = [
    {"title": "Short answers and long ones", "prompt": CHECKLIST, "tags": ["demo", "style"],
     "models": ["demo/echo", {"model": "demo/slow", "label": "in 30 words", "params": {"max_tokens": 30}}]},
    {"title": "When models fail", "prompt": "What happens to the others when one model is down?", "tags": ["demo"],
     "models": ["demo/echo", "demo/down", "demo/cut", "demo/ratelimited"]},
    {"title": "The same model twice", "prompt": "Say this in as many words as you are given, and in no more than that.",
     "tags": ["demo", "style"],
     "models": [{"model": "demo/echo", "label": f"{n} words", "params": {"max_tokens": n}} for n in (5, 10, 15)]},
]  # fmt: skip


class Command(BaseCommand):
    help = "Compare the demo models a few times, so that the history has something to show. Nothing where it has."

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.select_related("tenant").filter(username=CALLER).first()
        caller = Caller.from_user(user) if user else None
        if caller is None or Comparison.objects.of_tenant(caller.tenant_id).exists():
            return
        asyncio.run(_compare(caller))
        drain_comparisons()
        drain_usage()


async def _compare(caller: Caller) -> None:
    """For real, in a gateway of its own, one after the other."""
    gateway = Gateway()
    await gateway.start()

    async def authenticate() -> Caller:
        return caller

    try:
        for asked in map(ComparisonRequest.parse, ASKED):
            decide = deciding(asked, authenticate, Options.parse({}))
            run = await begin(gateway, Wanted(asked, decide, Source.PLAYGROUND))
            run.start()
            await run.wait()
        await underway.stop()
    finally:
        await gateway.stop()
