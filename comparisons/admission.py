"""Every slot is checked, and all of them are reserved for at once, before anything is spent."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import orjson

from accounts.callers import Caller
from accounts.errors import NotFound, NotPermitted
from comparisons.errors import SlotProblem, SlotsRefused
from comparisons.request import ComparisonRequest, SlotRequest
from proxy.cache import name_of
from proxy.call import Call, new_request_id
from proxy.catalogue import Catalogue, Route
from proxy.errors import NoUsableModel
from proxy.gateway import DecideAll, Gateway
from proxy.options import Options

FIRST_ONLY = (
    "A comparison asks the first model of a chain alone; “fallbacks”: true asks the others, too "
    "(in the playground: Let chains fall back)."
)
Authenticate = Callable[[], Awaitable[Caller]]


def deciding(asked: ComparisonRequest, authenticate: Authenticate, options: Options) -> DecideAll:
    """What makes one call for each slot, on whatever configuration; it raises SlotsRefused and InvalidCredential."""
    request_ids = [new_request_id() for _ in asked.slots]
    sizes = _sizes(asked)

    async def decide(catalogue: Catalogue) -> list[Call]:
        caller = await authenticate()
        routes = _routes(catalogue, asked, caller)
        return [
            _call(asked, slot, caller, route, request_id, options, size)
            for slot, route, request_id, size in zip(asked.slots, routes, request_ids, sizes, strict=True)
        ]

    return decide


async def admit(gateway: Gateway, decide: DecideAll) -> list[Call]:
    """One admitted call for each slot, with its answer where the cache has it.

    Raises SlotsRefused that names every slot that cannot be asked, InvalidCredential, and the ledger's refusals.
    """

    async def decide_and_look(catalogue: Catalogue) -> Sequence[Call]:
        calls = await decide(catalogue)
        await asyncio.gather(*(gateway.read_cache(call) for call in calls if call.reads_cache))
        return calls

    return list(await gateway.admit_together(decide_and_look))


def _sizes(asked: ComparisonRequest) -> list[int]:
    """The bytes of each slot's body. All have the same messages, which may be long and are measured once."""
    messages = len(orjson.dumps(asked.messages))
    rest = ({name: value for name, value in slot.body.items() if name != "messages"} for slot in asked.slots)
    return [messages + len(orjson.dumps(each)) for each in rest]


def _routes(catalogue: Catalogue, asked: ComparisonRequest, caller: Caller) -> list[Route]:
    """One for each slot; raises SlotsRefused."""
    routes, problems = [], list(asked.problems)
    for slot in asked.slots:
        try:
            routes.append(_route(catalogue, slot.model, caller, fallbacks=asked.fallbacks))
        except (NotFound, NotPermitted, NoUsableModel) as refusal:
            problems.append(SlotProblem(slot.number, refusal, slot.number - asked.first_slot))
    if problems:
        raise SlotsRefused(sorted(problems, key=lambda problem: problem.slot))
    return routes


def _route(catalogue: Catalogue, name: str, caller: Caller, *, fallbacks: bool) -> Route:
    route = catalogue.route((name,), caller)
    if fallbacks or len(route.links) < 2:
        return route
    # A comparison must compare what it names: the chain's first model that can be asked, and no other.
    return replace(route, links=route.links[:1], advice=FIRST_ONLY)


def _call(
    asked: ComparisonRequest,
    slot: SlotRequest,
    caller: Caller,
    route: Route,
    request_id: str,
    options: Options,
    prompt_bytes: int,
) -> Call:
    cacheable = asked.cache and route.cache_ttl_s > 0 and options.writes_cache
    deadline_s = options.deadline_s(route.deadline_s)
    # Answers put together from a stream are not the provider's bytes: chats must not find them.
    fingerprint = f"comparison {asked.fallbacks} {route.fingerprint}"
    return Call(
        request_id=request_id,
        caller=caller,
        route=route,
        requested_model=slot.model,
        endpoint="comparison",
        body=slot.body,
        streamed=asked.stream,
        tags=options.tags,
        prompt_bytes=prompt_bytes,
        deadline_s=deadline_s if asked.timeout_s is None else min(asked.timeout_s, deadline_s),
        reads_cache=cacheable and options.reads_cache,
        cached_name=name_of(caller.cache_scope, fingerprint, slot.body) if cacheable else "",
    )
