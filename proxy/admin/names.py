"""The names that API keys can be limited to, for the form in `accounts.admin`."""

from django.db.models import Q

from accounts.admin.offers import Groups, offers
from proxy.models import Model, ModelChain


def offered(tenant_id: int) -> Q:
    """Which chains and models a tenant may use: those for everybody, and those that name the tenant."""
    return Q(is_active=True) & (Q(tenants=None) | Q(tenants=tenant_id))


@offers
def names(tenant_id: int | None) -> Groups:
    wanted = Q(is_active=True) if tenant_id is None else offered(tenant_id)
    return [
        ("Chains", list(ModelChain.objects.filter(wanted).values_list("name", flat=True).distinct())),
        ("Models", list(Model.objects.filter(wanted).values_list("name", flat=True).distinct())),
    ]
