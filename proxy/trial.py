"""Trying a chain or model from the admin: a real request, answered and recorded like any other, seen from inside."""

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from accounts.callers import Caller
from accounts.errors import GatewayError
from accounts.limits import Budget
from proxy import gateway
from proxy.call import Call, new_request_id
from proxy.catalogue import Catalogue, Route
from proxy.errors import ModelNotFound, NoUsableModel
from proxy.gateway import Gateway
from proxy.metering import measure

LONGEST_S = 300.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. `attempts`: {model, provider, status, code, ms, message}; `error` is None for an answer."""

    request_id: str
    content: str = ""
    served_model: str = ""
    provider: str = ""
    attempts: list[dict[str, Any]] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_microusd: int = 0
    error: str | None = None

    @property
    def cost_usd(self) -> Decimal:
        return Decimal(self.cost_microusd) / 1_000_000


def trial(
    name: str,
    messages: list[dict[str, Any]],
    *,
    tenant_id: int | None,
    username: str = "",
    max_tokens: int | None = None,
) -> Trial:
    """Ask a chain or model once, as a member of the tenant would (None: as an operator, who sees everything).

    For synchronous code, from any thread: it runs in the web process's gateway, or, where there is none (a command, a
    test), in one of its own.
    """
    body: dict[str, Any] = {"messages": messages} | ({"max_tokens": max_tokens} if max_tokens else {})
    caller = Caller(
        tenant_id=tenant_id,
        tenant_name="",
        time_zone="UTC",
        user_id=None,
        username=username,
        password_digest="",
        budgets=() if tenant_id is None else (Budget("tenant", str(tenant_id), None),),  # counted, never held to it
    )
    running = gateway.running_or_none()
    if running is None:
        return asyncio.run(_in_a_gateway_of_its_own(name, body, caller))
    future = asyncio.run_coroutine_threadsafe(_ask(running, name, body, caller), running.loop)
    return future.result(LONGEST_S)


async def _in_a_gateway_of_its_own(name: str, body: dict[str, Any], caller: Caller) -> Trial:
    own = Gateway()
    await own.start()
    try:
        return await _ask(own, name, body, caller)
    finally:
        await own.stop()


async def _ask(running: Gateway, name: str, body: dict[str, Any], caller: Caller) -> Trial:
    request_id = new_request_id()

    async def decide(catalogue: Catalogue) -> Call:
        route = _route(catalogue, name, caller)
        return Call(
            request_id=request_id,
            caller=caller,
            route=route,
            requested_model=name,
            endpoint="trial",
            body=body,
            streamed=False,
            tags=[],
            prompt_bytes=len(orjson.dumps(body)),
            deadline_s=route.deadline_s,
        )

    try:
        call = await running.admit(decide)
    except GatewayError as refusal:
        return Trial(request_id, error=refusal.message)
    return await _answer(running, call)


def _route(catalogue: Catalogue, name: str, caller: Caller) -> Route:
    route = catalogue.chains.get(name) or catalogue.models.get(name)
    if route is None or (caller.tenant_id is not None and not route.is_visible_to(caller)):
        raise ModelNotFound(name)
    if not route.links:
        raise NoUsableModel(name)
    return route


async def _answer(running: Gateway, call: Call) -> Trial:
    try:
        with running.finish_on_error(call):
            answer = await running.relay.complete(call)
            await measure(call)
        running.finish(call)
    except GatewayError as failure:
        return Trial(call.request_id, attempts=[attempt.record() for attempt in call.attempts], error=failure.message)
    message = answer.data["choices"][0]["message"]
    return Trial(
        request_id=call.request_id,
        content=message.get("content") or orjson.dumps(message, option=orjson.OPT_INDENT_2).decode(),
        served_model=call.served_by.model if call.served_by else "",
        provider=call.served_by.target.provider if call.served_by else "",
        attempts=[attempt.record() for attempt in call.attempts],
        prompt_tokens=call.tokens.prompt if call.tokens else 0,
        completion_tokens=call.tokens.completion if call.tokens else 0,
        cost_microusd=call.cost_microusd,
    )
