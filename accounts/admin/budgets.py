"""How a month's budget stands, as a bar: used, reserved by requests in flight, left."""

import time
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from accounts.admin.base import ModelAdmin
from accounts.admin_site import is_operator
from accounts.limits import Budget, Month
from accounts.redis import sync_client

FIELDS = {"tenant": "tenant", "user": "user", "key": "api_key"}


class BudgetPage(ModelAdmin):
    """The page of a row with a budget: operators find there the ways to a top-up and to a reset."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            row.may_top_up = is_operator(request.user)
        return row


def this_month(budget: Budget, time_zone: str, row: Any) -> SafeString | str:
    """The live counters of the current month in this time zone, for the row's page."""
    month = Month.at(time.time() * 1000, ZoneInfo(time_zone))
    try:
        counted: Any = sync_client().hmget(budget.counter(str(month)), "spent", "reserved")
    except RedisError:
        return _("Redis does not answer just now.")
    spent, reserved = (int(count or 0) for count in counted)
    limit = budget.limit_in(str(month))
    context = {
        "month": str(month),
        "limit": limit,
        "topped_up": budget.top_ups.get(str(month), 0),
        "is_soft": budget.mode == "soft",
        "spent": spent,
        "reserved": reserved,
        "left": None if limit is None else max(0, limit - spent - reserved),
        **(_ways(budget, str(month), spent) if limit is not None and getattr(row, "may_top_up", False) else {}),
        "spent_percent": _percent(spent, limit),
        "reserved_percent": _percent(reserved, limit),
    }
    return render_to_string("admin/accounts/budget.html", context)


def _ways(budget: Budget, month: str, spent: int) -> dict[str, str]:
    """Addresses of the form for a top-up, filled in as far as it is known; a reset adds what was spent."""
    form, fields = reverse("admin:accounts_topup_add"), {FIELDS[budget.scope]: budget.subject, "month": month}
    ways = {"top_up_url": f"{form}?{urlencode(fields)}"}
    if spent:
        ways["reset_url"] = f"{form}?{urlencode({**fields, 'tokens': str(spent)})}"
    return ways


def _percent(tokens: int, limit: int | None) -> int:
    return min(100, round(100 * tokens / limit)) if limit else 0
