"""One accepted request on its way through the gateway."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from accounts.callers import Caller
from accounts.ledger import Admission
from accounts.quota import Quota
from proxy.attempts import Attempt
from proxy.cache import CachedAnswer, pack, seal_of
from proxy.catalogue import Link, Route
from proxy.meter import Meter
from proxy.transcript import Transcript
from proxy.upstreams.base import TokenCount


def new_request_id() -> str:
    """`req_` and 32 hexadecimal characters, the first twelve a millisecond clock, so that rows lie in order."""
    return f"req_{((time.time_ns() // 1_000_000).to_bytes(6) + os.urandom(10)).hex()}"


@dataclass(slots=True)
class Call:
    """What is known of a request from its admission to its settlement. Times are in milliseconds unless named."""

    request_id: str
    caller: Caller
    route: Route
    requested_model: str
    endpoint: str
    body: dict[str, Any]
    streamed: bool
    tags: Sequence[str]
    prompt_bytes: int
    deadline_s: float
    quota: Quota = field(init=False)
    opening: bytes = b""
    asked_ms: int = 0
    reads_cache: bool = False
    cached_name: str = ""
    cached: CachedAnswer | None = None
    cap: int | None = None
    reserved_tokens: int = 0
    admission: Admission | None = None
    attempts: list[Attempt] = field(default_factory=list)
    served_by: Link | None = None
    first_token_ms: int | None = None
    waited_ms: float = 0.0
    meter: Meter | None = None
    tokens: TokenCount | None = None
    quality: str = "reported"
    transcript: Transcript | None = None
    _began: float = field(default_factory=time.perf_counter)
    _cost: int | None = None

    @property
    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self._began) * 1000

    @property
    def remaining_s(self) -> float:
        """Until the deadline for the first content, over all attempts."""
        return self.deadline_s - (time.perf_counter() - self._began)

    @property
    def overhead_ms(self) -> float:
        """What the gateway itself added: everything but the providers' time."""
        return max(0.0, self.elapsed_ms - self.providers_ms)

    @property
    def providers_ms(self) -> float:
        """What providers took up to their first content, and asked to be waited for."""
        total = self.waited_ms
        for attempt in self.attempts:
            total += attempt.ms
        return total

    @property
    def cost_microusd(self) -> int:
        """What the answer cost, rounded to a micro-dollar; 0 where the price is not known."""
        if self._cost is not None:
            return self._cost
        price, tokens = self.served_by.price if self.served_by else None, self.tokens
        if price is None or tokens is None:
            return 0
        cached_price = price.input if price.cached_input is None else price.cached_input
        cached = min(tokens.cached, tokens.prompt)
        cost = (tokens.prompt - cached) * price.input + cached * cached_price + tokens.completion * price.output
        self._cost = round(cost)
        return self._cost

    def begin(self, link: Link) -> Attempt:
        attempt = Attempt(link.model, link.target.provider)
        self.attempts.append(attempt)
        return attempt

    def content_began(self) -> None:
        if self.first_token_ms is None:
            self.first_token_ms = round(self.elapsed_ms)

    def note_answer(self, raw: bytes) -> None:
        """Keep a whole answer's words, where the tenant stores them."""
        if self.transcript:
            self.transcript.take(raw)

    def headers(self) -> dict[str, str]:
        """The contract's headers as far as they are known."""
        headers = {
            "x-gateway-attempts": str(len(self.attempts)),
            "x-gateway-cache": self._cache_state,
            "x-gateway-overhead-ms": f"{self.overhead_ms:.1f}",
        }
        if self.admission:
            self._add_limits(headers, self.admission)
        if model := self._served_model:
            headers["x-gateway-model"] = model
            headers["x-gateway-provider"] = self._provider
        if self.cached:
            headers["age"] = str(self.cached.age_s)
        if (self.tokens or self.cached) and not self.streamed:
            dollars, millionths = divmod(self.cost_microusd, 1_000_000)
            headers["x-gateway-cost-usd"] = f"{dollars}.{millionths:06}"
        return headers

    def pack(self, answer: bytes) -> bytes:
        """The answer as the cache keeps it."""
        return pack(self.cached_name, self.caller.cache_scope, answer, self._served_model, self._provider)

    @property
    def cache_seal(self) -> bytes:
        return seal_of(self.cached_name, self.caller.cache_scope)

    @property
    def is_cacheable(self) -> bool:
        """Whether its answer may be kept: given by the first link, at once, with nothing shortened by us."""
        return bool(self.cached_name) and not self.cached and self.cap is None and len(self.attempts) == 1

    @property
    def _served_model(self) -> str:
        if self.cached:
            return self.cached.model
        return self.served_by.model if self.served_by else ""

    @property
    def _provider(self) -> str:
        if self.cached:
            return self.cached.provider
        return self.served_by.target.provider if self.served_by else ""

    @property
    def _cache_state(self) -> str:
        if self.cached:
            return "hit"
        return "miss" if self.reads_cache else "bypass"

    @property
    def taken_tokens(self) -> int:
        """What this request takes of its budgets: what it used, or has reserved while that is not known."""
        if self.cached:
            return 0
        return self.tokens.total if self.tokens else self.reserved_tokens

    def _add_limits(self, headers: dict[str, str], admission: Admission) -> None:
        """Of the tightest rate limit and the tightest budget."""
        if admission.rate:
            headers.update(admission.rate.headers())
        if admission.room is not None:
            headers["x-gateway-budget-remaining-tokens"] = str(max(0, admission.room - self.taken_tokens))

    def open(self, now_ms: float, quota: Quota) -> None:
        """Begin its usage event, in the month of this quota: what is known at admission, a JSON object still open.

        `now_ms`: Redis's time, by which months begin.
        """
        self.quota = quota
        self.asked_ms = round(now_ms)
        known = {
            "request_id": self.request_id,
            "created_at": datetime.fromtimestamp(now_ms / 1000, UTC),
            "month": quota.month.name,
            "tenant_id": self.caller.tenant_id,
            "tenant_name": self.caller.tenant_name,
            "user_id": self.caller.user_id,
            "username": self.caller.username,
            "key_id": self.caller.key_id,
            "key_name": self.caller.key_name,
            "endpoint": self.endpoint,
            "chain": self.route.name,
            "requested_model": self.requested_model[:200],
            "streamed": self.streamed,
            "tags": self.tags,
        }
        self.opening = orjson.dumps(known)[:-1]

    @property
    def estimate(self) -> bytes:
        """What closes the event if this process dies. Four bytes to a token is the usual rule of thumb."""
        return b',"prompt_tokens":%d,"quality":"estimated"}' % (self.prompt_bytes // 4)

    def usage_event(self, status: str, error_code: str = "") -> bytes:
        """The columns of `proxy.models.Usage` as JSON, and the `body` to store, if any."""
        tokens = self.tokens or TokenCount()
        price = self.served_by.price if self.served_by else None
        outcome = {
            "served_model": self._served_model,
            "provider": self._provider,
            "status": status,
            "error_code": error_code[:100],
            "prompt_tokens": tokens.prompt,
            "completion_tokens": tokens.completion,
            "cached_tokens": tokens.cached,
            "reasoning_tokens": tokens.reasoning,
            "quality": self.quality,
            "cost_microusd": self.cost_microusd,
            "input_price_per_mtok": str(price.input) if price else None,
            "output_price_per_mtok": str(price.output) if price else None,
            "latency_ms": round(self.elapsed_ms),
            "first_token_ms": self.first_token_ms,
            "attempts": [attempt.record() for attempt in self.attempts],
            "body": self.transcript.record() if self.transcript else None,
        }
        return self.opening + b"," + orjson.dumps(outcome)[1:]
