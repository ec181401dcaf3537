"""What can be called: one immutable snapshot in memory, loaded whole at each configuration change."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from accounts.callers import Caller
from accounts.encryption import CannotDecrypt
from accounts.errors import InvalidCredential
from accounts.models import ConfigurationVersion, Tenant
from proxy.errors import ModelNotAllowed, ModelNotFound, NoUsableModel
from proxy.models import ChainLink, Model, ModelChain, Provider
from proxy.models.provider import Wire
from proxy.upstreams.base import Target
from proxy.upstreams.model_table import OPENAI_WIRE_BASE_URLS, ModelFacts, lookup

logger = logging.getLogger(__name__)

DEFAULT_CHAIN = "default"
NOT_PUBLIC = (
    "Without a credential only public chains may be used; GET /v1/models lists them. Send an API key for everything "
    "else: Authorization: Bearer gw_live_…"
)
CHAIN_FAILED = "Try again in a moment, or add a model to the chain."
MODEL_FAILED = "Try again in a moment, or ask a chain: it goes on to its next model."
LIST_FAILED = "Try again in a moment, or name more models."


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens, which is micro-dollars for one."""

    input: Decimal = Decimal(0)
    output: Decimal = Decimal(0)
    cached_input: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A model with the patience that a chain has for it (the defaults when it is called directly)."""

    model: str
    target: Target
    price: Price | None
    context_window: int | None
    max_output_tokens: int | None
    first_token_timeout_s: float = 60.0
    stall_timeout_s: float = 60.0
    retry_after_max_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Route:
    """What one request may be answered by: links in order, and the chain's rules (the defaults for a single model).

    `fingerprint` changes with anything that may change an answer: the cache is keyed by it.
    `owner`: the provider of a single model, "" for a chain; `tenants`: who may use it, empty for everyone.
    `advice`: what to do when no link answers.
    """

    name: str
    links: tuple[Link, ...]
    owner: str = ""
    created: int = 0
    public: bool = False
    tenants: frozenset[int] = frozenset()
    cache_ttl_s: int = 300
    cache_streams: bool = False
    stream_guard: str = "live"
    default_max_tokens: int = 4096
    clamp_max_tokens: bool = False
    deadline_s: float = 120.0
    fall_back_on_client_errors: bool = False
    fall_back_on_content_policy: bool = False
    advice: str = CHAIN_FAILED
    fingerprint: str = ""

    def is_visible_to(self, caller: Caller) -> bool:
        if caller.is_anonymous:
            return self.public
        return not self.tenants or caller.tenant_id in self.tenants


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every active chain and model. `version` is the configuration version it is at least as new as."""

    version: int
    chains: dict[str, Route]
    models: dict[str, Route]
    full_names: dict[str, list[str]]

    def route(self, names: Sequence[str], caller: Caller) -> Route:
        """The links of these chains and models, one after the other, under the rules of the first.

        Raises ModelNotFound (also for another tenant's), ModelNotAllowed, NoUsableModel.
        """
        routes = [self.find(name, caller) for name in names]
        links = tuple(link for route in routes for link in route.links)
        if not links:
            raise NoUsableModel(names[0])
        if len(routes) == 1:
            return routes[0]
        return replace(
            routes[0], links=links, advice=LIST_FAILED, fingerprint=" ".join(route.fingerprint for route in routes)
        )

    def offered_to(self, caller: Caller) -> list[Route]:
        """What this caller may use: chains first, the default chain first of all, then models that can be asked."""
        chains = sorted(self.chains.values(), key=lambda chain: (chain.name != DEFAULT_CHAIN, chain.name))
        models = sorted((model for model in self.models.values() if model.links), key=lambda model: model.name)
        return [route for route in (*chains, *models) if route.is_visible_to(caller) and caller.may_use(route.name)]

    def targets(self) -> list[Target]:
        """Every model that can be asked."""
        return [link.target for model in self.models.values() for link in model.links]

    def find(self, name: str, caller: Caller) -> Route:
        """One chain or model; raises ModelNotFound, ModelNotAllowed."""
        route = self.chains.get(name) or self.models.get(name) or self._by_upstream_name(name, caller)
        if route is None or not route.is_visible_to(caller):
            raise InvalidCredential(NOT_PUBLIC) if caller.is_anonymous else ModelNotFound(name)
        if not caller.may_use(route.name):
            raise ModelNotAllowed(name)
        return route

    def _by_upstream_name(self, name: str, caller: Caller) -> Route | None:
        """`gpt-4o-mini` finds `openai/gpt-4o-mini` where only one model that the caller can see bears the name."""
        routes = [self.models[full_name] for full_name in self.full_names.get(name, ())]
        visible = [route for route in routes if route.is_visible_to(caller)]
        return visible[0] if len(visible) == 1 else None


def load() -> Catalogue:
    """Read the snapshot. The version comes first: what is committed later can only make the rows newer than it."""
    version = ConfigurationVersion.current()
    api_keys = {provider.pk: _api_key(provider) for provider in Provider.objects.filter(is_active=True)}
    rows = Model.objects.filter(provider__in=api_keys, is_active=True).select_related("provider")
    links, models, full_names = {}, {}, defaultdict(list)
    for row in rows.prefetch_related("tenants"):
        link = _link(row, api_keys[row.provider_id])
        if link:
            links[row.pk] = link
        models[row.name] = _fingerprinted(
            Route(
                name=row.name,
                links=(link,) if link else (),
                owner=row.provider.name,
                tenants=_ids(row.tenants.all()),
                advice=MODEL_FAILED,
            )
        )
        full_names[row.upstream_name].append(row.name)
    chains = ModelChain.objects.filter(is_active=True).prefetch_related("tenants", "links")
    return Catalogue(
        version, {chain.name: _fingerprinted(_chain(chain, links)) for chain in chains}, models, dict(full_names)
    )


def _fingerprinted(route: Route) -> Route:
    """Its repr names everything but credentials."""
    return replace(route, fingerprint=hashlib.sha256(repr(route).encode()).hexdigest())


def _chain(row: ModelChain, links: Mapping[int, Link]) -> Route:
    return Route(
        name=row.name,
        links=tuple(_patient(links[place.model_id], place) for place in row.links.all() if place.model_id in links),
        public=row.public,
        tenants=_ids(row.tenants.all()),
        cache_ttl_s=row.cache_ttl_s,
        cache_streams=row.cache_streams,
        stream_guard=row.stream_guard,
        default_max_tokens=row.default_max_tokens,
        clamp_max_tokens=row.clamp_max_tokens,
        deadline_s=row.deadline_s,
        fall_back_on_client_errors=row.fall_back_on_client_errors,
        fall_back_on_content_policy=row.fall_back_on_content_policy,
    )


def _patient(link: Link, place: ChainLink) -> Link:
    return replace(
        link,
        target=replace(link.target, connect_timeout_s=place.connect_timeout_s),
        first_token_timeout_s=place.first_token_timeout_s,
        stall_timeout_s=place.stall_timeout_s,
        retry_after_max_s=place.retry_after_max_s,
    )


def _link(row: Model, api_key: str) -> Link | None:
    """None for a model that cannot be asked: its provider needs a key and has none."""
    provider = row.provider
    if provider.needs_key and provider.wire != Wire.DEMO and not api_key:
        return None
    facts = lookup(provider.kind, row.upstream_name) or ModelFacts()
    return Link(
        model=row.name,
        target=Target(
            provider=provider.name,
            kind=provider.kind,
            wire=provider.wire,
            base_url=(provider.base_url or _usual_base_url(provider)).rstrip("/"),
            api_key=api_key,
            model=row.upstream_name,
        ),
        price=_price(row, facts),
        context_window=row.context_window or facts.context_window,
        max_output_tokens=row.max_output_tokens or facts.max_output_tokens,
    )


def _price(row: Model, facts: ModelFacts) -> Price | None:
    own, table = (
        (row.input_price_per_mtok, row.output_price_per_mtok),
        (facts.input_price_per_mtok, facts.output_price_per_mtok),
    )
    if own == (None, None) and table == (None, None):
        return None
    zero = Decimal(0)
    return Price(
        input=next((price for price in (own[0], table[0]) if price is not None), zero),
        output=next((price for price in (own[1], table[1]) if price is not None), zero),
        cached_input=facts.cached_input_price_per_mtok if own[0] is None else None,
    )


def _usual_base_url(provider: Provider) -> str:
    return OPENAI_WIRE_BASE_URLS.get(provider.kind, "") if provider.wire == Wire.OPENAI else ""


def _api_key(provider: Provider) -> str:
    try:
        return provider.api_key()
    except CannotDecrypt as error:
        logger.warning("The API key of provider %s cannot be used: %s", provider.name, error)
        return ""


def _ids(tenants: Iterable[Tenant]) -> frozenset[int]:
    return frozenset(tenant.pk for tenant in tenants)
