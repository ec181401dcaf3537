"""What an answer used: the provider's word for it, else our own count of what was delivered."""

import asyncio
from typing import Any

from proxy.call import Call
from proxy.upstreams.base import TokenCount
from proxy.upstreams.tokenizer import count_prompt_tokens, count_tokens


def is_measured(call: Call) -> bool:
    """Set the call's `tokens` if they are known without counting: whether they are."""
    if call.tokens is None and call.meter and call.meter.tokens:
        call.tokens, call.quality = call.meter.tokens, "reported"
    elif call.tokens is None and (call.cached or call.served_by is None):  # or it ended while no provider was at work
        call.tokens = TokenCount()
    return call.tokens is not None


async def measure(call: Call) -> None:
    """Set the call's `tokens` and their `quality`. Counting is CPU work: it runs in a thread."""
    if is_measured(call) or call.served_by is None:
        return
    model, delivered = call.served_by.target.model, str(call.meter.delivered) if call.meter else ""
    call.tokens = await asyncio.to_thread(_count, model, call.body, delivered)
    call.quality = "counted"


def _count(model: str, body: dict[str, Any], delivered: str) -> TokenCount:
    if "messages" in body:
        prompt = count_prompt_tokens(model, body["messages"], body.get("tools"))
    else:
        prompt = count_tokens(model, str(body.get("input", "")))
    return TokenCount(prompt=prompt, completion=count_tokens(model, delivered))
