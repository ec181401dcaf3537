"""To whom chains and models are offered: to the tenants they name, and to everyone where they name none."""

from typing import Any

from django.db.models import Count
from django.db.models.signals import pre_delete

from accounts.models import Tenant
from proxy.models.chain import ModelChain
from proxy.models.model import Model


def guard() -> None:
    """Switch off what was offered to a tenant alone when that tenant is deleted: it must not become everybody's."""
    pre_delete.connect(_switch_off, sender=Tenant, dispatch_uid="proxy.offers")


def _switch_off(instance: Tenant, **kwargs: Any) -> None:
    for offered in (ModelChain, Model):
        rows = offered.objects.filter(tenants=instance).values("pk")
        alone = offered.objects.filter(pk__in=rows).annotate(named=Count("tenants")).filter(named=1)
        offered.objects.filter(pk__in=list(alone.values_list("pk", flat=True))).update(is_active=False)
