"""The upper bound of what a request may use, in tokens: what admission reserves.

The cheap bound counts bytes: no tokenizer makes more tokens than there are bytes. Only where that does not fit is the
prompt counted, with a safety factor for tokenizers that are not the model's own.
"""

import asyncio
import math
from dataclasses import dataclass
from typing import Any

from proxy.catalogue import Route
from proxy.upstreams.tokenizer import count_prompt_tokens, count_tokens

# What an image may cost that the prompt only names: OpenAI's largest (high detail, eight tiles) is below this.
IMAGE_TOKENS = 3000
FOREIGN_TOKENIZER = 1.3
LIMIT_FIELDS = ("max_completion_tokens", "max_tokens")


@dataclass(slots=True)
class Estimate:
    """`prompt` and `completion` (all choices together), in tokens. `cap`: the max_tokens to inject, None for none."""

    prompt: int
    completion: int
    cap: int | None = None

    @property
    def tokens(self) -> int:
        return self.prompt + self.completion


def cheap(body: dict[str, Any], route: Route, prompt_bytes: int, *, enforced: bool) -> Estimate:
    """From the size of the body. `enforced`: a hard budget applies, so what cannot be bounded must be capped."""
    prompt = prompt_bytes + _images(body) * IMAGE_TOKENS
    choices = body.get("n") or 1
    if "messages" not in body:
        return Estimate(prompt, 0)
    asked, longest = _asked(body), _longest_answer(route)
    if asked is not None:
        return Estimate(prompt, choices * asked)
    if longest is None and enforced:
        return Estimate(prompt, choices * route.default_max_tokens, cap=route.default_max_tokens)
    return Estimate(prompt, choices * (longest or route.default_max_tokens))


async def close(body: dict[str, Any], route: Route) -> Estimate:
    """With the prompt counted, and the chain's default cap where the caller names none. CPU work, in a thread."""
    prompt = await asyncio.to_thread(_count_prompt, body, route.links[0].target.model)
    if "messages" not in body:
        return Estimate(prompt, 0)
    choices, asked = body.get("n") or 1, _asked(body)
    if asked is not None:
        return Estimate(prompt, choices * asked)
    cap = min(route.default_max_tokens, _longest_answer(route) or route.default_max_tokens)
    return Estimate(prompt, choices * cap, cap=cap)


def clamped(estimate: Estimate, choices: int, left: int) -> Estimate | None:
    """The same with its answer shortened to what is left; None where not even a token of each choice fits."""
    cap = (left - estimate.prompt) // choices
    return Estimate(estimate.prompt, cap * choices, cap=cap) if cap >= 1 else None


def capped(body: dict[str, Any], cap: int, kind: str) -> dict[str, Any]:
    """The body with its answer limited: in the caller's own field, else in the one that the provider knows."""
    usual = "max_completion_tokens" if kind == "openai" else "max_tokens"
    field = next((field for field in LIMIT_FIELDS if body.get(field) is not None), usual)
    return {**body, field: cap}


def _asked(body: dict[str, Any]) -> int | None:
    return next((body[field] for field in LIMIT_FIELDS if body.get(field) is not None), None)


def _longest_answer(route: Route) -> int | None:
    """Of any model that may answer; None if one's limit is not known."""
    limits = [link.max_output_tokens for link in route.links]
    return None if None in limits else max(limit for limit in limits if limit is not None)


def _count_prompt(body: dict[str, Any], model: str) -> int:
    if "messages" in body:
        counted = count_prompt_tokens(model, body["messages"], body.get("tools"))
    else:
        counted = count_tokens(model, str(body.get("input", "")))
    return math.ceil(counted * FOREIGN_TOKENIZER)


def _images(body: dict[str, Any]) -> int:
    parts = (message.get("content") for message in body.get("messages", ()))
    return sum(
        isinstance(part, dict) and part.get("type") in {"image_url", "input_image"}
        for content in parts
        if isinstance(content, list)
        for part in content
    )
