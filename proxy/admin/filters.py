"""Filters of the usage ledger. Each stays within an index and takes its choices from the small tables."""

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_lazy as _

from accounts.models import Tenant
from proxy.models import ModelChain, Provider

if TYPE_CHECKING:  # see accounts.admin.base
    from django.contrib.admin import FieldListFilter as RangeDateFilter, SimpleListFilter as DropdownFilter
else:
    from unfold.contrib.filters.admin import DropdownFilter, RangeDateFilter

Choices = list[tuple[str, str]]


class TenantFilter(DropdownFilter):
    title = _("tenant")
    parameter_name = "tenant"
    column = "tenant_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(str(pk), name) for pk, name in Tenant.objects.values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return _chosen(self, queryset, self.column)


class NameFilter(DropdownFilter):
    """By a copied name: `parameter_name` is the ledger's column."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(name, name) for name in self.names(request, model_admin)]

    def names(self, request: HttpRequest, model_admin: Any) -> list[str]:
        raise NotImplementedError

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return _chosen(self, queryset, str(self.parameter_name))


class ChainFilter(NameFilter):
    title = _("chain")
    parameter_name = "chain"

    def names(self, request: HttpRequest, model_admin: Any) -> list[str]:
        chains = model_admin.admin_site.get_model_admin(ModelChain).get_queryset(request)
        return [chain.name for chain in chains.prefetch_related(None)]


class ProviderFilter(NameFilter):
    title = _("provider")
    parameter_name = "provider"

    def names(self, request: HttpRequest, model_admin: Any) -> list[str]:
        return list(Provider.objects.values_list("name", flat=True))


class DayRangeFilter(RangeDateFilter):
    """From one day to another, both included, in the gateway's time zone."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        first, last = (self._day(end) for end in ("from", "to"))
        if first:
            queryset = queryset.filter(created_at__gte=_midnight(first))
        if last:
            queryset = queryset.filter(created_at__lt=_midnight(last + timedelta(days=1)))
        return queryset

    def _day(self, end: str) -> date | None:
        try:
            return parse_date(str(self.used_parameters.get(f"{self.field_path}_{end}", "")))
        except ValueError:  # no such day
            return None


def _chosen(spec: DropdownFilter, queryset: QuerySet[Any], column: str) -> QuerySet[Any]:
    """What the address asks for, if the filter offers it; nothing if it does not."""
    if not spec.value():
        return queryset
    return queryset.filter(**{column: spec.value()}) if spec.value() in dict(spec.lookup_choices) else queryset.none()


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime(day.year, day.month, day.day))  # noqa: DTZ001 - made aware
