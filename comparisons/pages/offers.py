"""What somebody may ask, for the chips and fields of the pages."""

from dataclasses import dataclass
from decimal import Decimal

from accounts.callers import Caller
from accounts.models import ConfigurationVersion, User
from proxy import gateway
from proxy.catalogue import Catalogue, Route, load


@dataclass(frozen=True, slots=True)
class Offer:
    """A chain or a model. Prices are in US dollars for a million tokens; of a chain, those of its first model."""

    name: str
    is_chain: bool
    first_model: str
    input_price: Decimal
    output_price: Decimal


def offers_for(user: User) -> list[Offer]:
    """Chains first, the default chain first of all, then models; only what can be asked."""
    caller = Caller.from_user(user)
    routes = _catalogue().offered_to(caller) if caller else []
    return [_offer(route) for route in routes if route.links]


def _catalogue() -> Catalogue:
    """The web process's own, where it is the newest; else a fresh one."""
    running = gateway.running_or_none()
    current = ConfigurationVersion.current()
    if running and running.catalogue and running.catalogue.version >= current:
        return running.catalogue
    return load()


def _offer(route: Route) -> Offer:
    link = route.links[0]
    price = link.price
    zero = Decimal(0)
    return Offer(
        name=route.name,
        is_chain=not route.owner,
        first_model=link.model,
        input_price=price.input if price else zero,
        output_price=price.output if price else zero,
    )
