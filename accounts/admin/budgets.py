"""How a month's budget stands, as a bar: used, reserved by requests in flight, left."""

import time
from typing import Any
from zoneinfo import ZoneInfo

from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from redis.exceptions import RedisError

from accounts.limits import Budget, Month
from accounts.redis import sync_client


def this_month(budget: Budget, time_zone: str) -> SafeString | str:
    """The live counters of the current month in this time zone."""
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
        "spent_percent": _percent(spent, limit),
        "reserved_percent": _percent(reserved, limit),
    }
    return render_to_string("admin/accounts/budget.html", context)


def _percent(tokens: int, limit: int | None) -> int:
    return min(100, round(100 * tokens / limit)) if limit else 0
