"""The actions “switch off” and “switch on” for rows with `is_active`."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _, ngettext

from accounts.admin.base import ModelAdmin


class Switches(ModelAdmin):
    """Row by row and saved as the form would, so that each change is logged and takes effect on the next request."""

    @admin.action(description=_("Switch off"), permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._switch(request, queryset, on=False)

    @admin.action(description=_("Switch on"), permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._switch(request, queryset, on=True)

    def may_switch(self, request: HttpRequest, row: Any) -> bool:
        return True

    def _switch(self, request: HttpRequest, queryset: QuerySet[Any], *, on: bool) -> None:
        word = _("switched on") if on else _("switched off")
        with transaction.atomic():
            rows = [row for row in queryset.exclude(is_active=on) if self.may_switch(request, row)]
            for row in rows:
                row.is_active = on
                row.save(update_fields=["is_active"])
                self.log_change(request, row, str(word).capitalize() + ".")
        count = ngettext("%(count)d row was %(word)s.", "%(count)d rows were %(word)s.", len(rows))
        self.message_user(request, count % {"count": len(rows), "word": word}, messages.SUCCESS)
