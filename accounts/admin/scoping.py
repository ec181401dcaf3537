"""Who sees what in the admin: operators everything, tenant administrators what belongs to their tenant.

The rule follows the user's role (accounts.admin_site); Django's groups and permissions play no part.
"""

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.fields.related import RelatedField
from django.http import Http404, HttpRequest

from accounts.admin.base import BaseModelAdmin, ModelAdmin, TabularInline
from accounts.admin_site import is_operator, tenant_of


class TenantScoped(BaseModelAdmin):
    """Scopes an admin: its rows, the choices of its relations, its autocomplete, its fields and every permission."""

    # The path from a row to its tenant, for example "user__tenant"; "": tenant administrators see no row at all.
    tenant_lookup: ClassVar[str] = ""
    # What tenant administrators may do with the rows of their tenant: view, add, change, delete.
    tenant_admin_may: ClassVar[frozenset[str]] = frozenset()
    # What only operators see: names of fields, columns and filters.
    operator_fields: ClassVar[frozenset[str]] = frozenset()

    def scope(self, queryset: models.QuerySet[Any], tenant_id: int) -> models.QuerySet[Any]:
        """The rows that belong to the tenant."""
        return queryset.filter(**{self.tenant_lookup: tenant_id}) if self.tenant_lookup else queryset.none()

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Any]:
        queryset = super().get_queryset(request)
        if is_operator(request.user):
            return queryset
        tenant_id = tenant_of(request.user)
        return queryset.none() if tenant_id is None else self.scope(queryset, tenant_id)

    def get_field_queryset(
        self, db: str | None, db_field: "RelatedField[Any, Any]", request: HttpRequest
    ) -> models.QuerySet[Any] | None:
        """The choices of a relation are the rows that the related admin shows to the same person."""
        related = self.admin_site._registry.get(db_field.remote_field.model)
        if isinstance(related, TenantScopedAdmin):
            return related.get_queryset(request)
        return super().get_field_queryset(db, db_field, request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._may(request, "view")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "view", obj)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "delete", obj)

    def _may(self, request: HttpRequest, verb: str, obj: Any = None) -> bool:
        if is_operator(request.user):
            return True
        if tenant_of(request.user) is None or verb not in self.tenant_admin_may:
            return False
        return obj is None or self.shows(request, obj)

    def shows(self, request: HttpRequest, obj: Any) -> bool:
        """Whether this person sees the row. Django asks with the row, Unfold with the key from the address."""
        try:
            return self.get_queryset(request).filter(pk=getattr(obj, "pk", obj)).exists()
        except (ValueError, ValidationError):
            return False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if is_operator(request.user):
            return fieldsets
        kept = ((title, {**options, "fields": self._shared(options["fields"])}) for title, options in fieldsets)
        return [(title, options) for title, options in kept if options["fields"]]

    def _shared(self, items: Any) -> list[Any]:
        """The fields, columns or filters without those that only operators see."""
        rows = [tuple(self._shared(item)) if _is_row(item) else item for item in items]
        return [item for item in rows if item and _name(item) not in self.operator_fields]


class TenantScopedAdmin(TenantScoped, ModelAdmin):
    """The base of every admin of ours."""

    compressed_fields = True
    list_filter_submit = True

    def get_object_or_404(self, request: HttpRequest, object_id: str) -> Any:
        """The row of an address; raises Http404 for what this person does not see."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        return row

    def get_list_display(self, request: HttpRequest) -> Any:
        columns = super().get_list_display(request)
        return columns if is_operator(request.user) else self._shared(columns)

    def get_list_filter(self, request: HttpRequest) -> Any:
        filters = super().get_list_filter(request)
        return filters if is_operator(request.user) else [f for f in filters if _name(f) not in self.operator_fields]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Nobody asks by way of the address about what only operators see."""
        if not is_operator(request.user) and lookup.split("__")[0] in self.operator_fields:
            return False
        return super().lookup_allowed(lookup, value, request)


class TenantScopedInline(TenantScoped, TabularInline):
    """Rows on the page of a row that is itself scoped: who sees that one sees these."""

    extra = 0

    def scope(self, queryset: models.QuerySet[Any], tenant_id: int) -> models.QuerySet[Any]:
        return queryset

    def shows(self, request: HttpRequest, obj: Any) -> bool:
        return True


class ReadOnly(TenantScoped):
    """Nobody writes here, whatever their rights: put it before the admin's or inline's base."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _is_row(item: Any) -> bool:
    """Fields that stand side by side are written as a tuple of names."""
    return isinstance(item, (list, tuple))


def _name(item: Any) -> str:
    """The name of a field, column or filter, in any of the ways in which Django lets one be written."""
    if isinstance(item, (list, tuple)):
        item = item[0]
    return item if isinstance(item, str) else getattr(item, "parameter_name", getattr(item, "__name__", ""))
