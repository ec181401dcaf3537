"""The names that API keys can be limited to, for the form in `accounts.admin`."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet

from accounts.admin.offers import Groups, offers
from proxy.catalogue import DEFAULT_CHAIN, Route, load
from proxy.models import Model, ModelChain


def offered(tenant_id: int) -> Q:
    """Which chains and models a tenant may use: those for everybody, and those that name the tenant."""
    return Q(is_active=True) & (Q(tenants=None) | Q(tenants=tenant_id))


@offers
def names(tenant_id: int | None) -> Groups:
    """What can be asked (a provider has a key) comes first, and of that the default chain: snippets name it."""
    wanted = Q(is_active=True) if tenant_id is None else offered(tenant_id)
    catalogue = load()
    return [
        ("Chains", _ordered(ModelChain.objects.filter(wanted), catalogue.chains)),
        ("Models", _ordered(Model.objects.filter(wanted), catalogue.models)),
    ]


def _ordered(rows: QuerySet[Any], routes: Mapping[str, Route]) -> list[str]:
    found = rows.values_list("name", flat=True).distinct()
    return sorted(found, key=lambda name: (not (name in routes and routes[name].links), name != DEFAULT_CHAIN, name))
