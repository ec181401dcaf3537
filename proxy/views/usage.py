"""`GET /v1/usage`: what the caller used this month, and what is left."""

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema_view
from redis.exceptions import RedisError
from rest_framework.request import Request

from accounts.callers import Caller
from accounts.errors import PartUnavailable
from accounts.ledger.admission import BudgetState
from accounts.limits import Month
from accounts.models import MonthlyTally
from accounts.sql import run_sql
from proxy.gateway import running
from proxy.http.view import AsyncAPIView
from proxy.schema import retrieve_usage


@extend_schema_view(get=retrieve_usage)
class CurrentUsage(AsyncAPIView):
    """The caller's own month: requests and tokens recorded so far, and every budget that applies, live."""

    async def get(self, request: Request) -> HttpResponse:
        gateway = running()
        caller, _ = await gateway.authenticate(request.headers, self.client_ip)
        month = Month.at(gateway.ledger.now_ms(), ZoneInfo(caller.time_zone))
        tally = await run_sql(_tally, caller, str(month))
        try:
            budgets = await gateway.ledger.budget_states(caller.quota(month))
        except RedisError as error:
            raise PartUnavailable("The gateway's ledger does not answer just now. Try again in a moment.") from error
        body = {
            "object": "usage",
            "period": {
                "start": month.start.isoformat(),
                "end": month.end.isoformat(),
                "time_zone": caller.time_zone,
            },
            "requests": tally.requests,
            "prompt_tokens": tally.prompt_tokens,
            "completion_tokens": tally.completion_tokens,
            "cached_tokens": tally.cached_tokens,
            "cost_usd": f"{Decimal(tally.cost_microusd) / 1_000_000:.6f}",
            "budgets": [_budget(state, month) for state in budgets if state.budget.limit is not None],
        }
        return HttpResponse(orjson.dumps(body), content_type="application/json")


def _tally(caller: Caller, month: str) -> MonthlyTally:
    """Of the user, whichever key was shown; of the address without a credential."""
    scope, subject = ("ip", caller.budgets[0].subject) if caller.is_anonymous else ("user", str(caller.user_id))
    tally = {"scope": scope, "subject": subject, "month": month}
    return MonthlyTally.objects.filter(**tally).first() or MonthlyTally(**tally)


def _budget(state: BudgetState, month: Month) -> dict[str, Any]:
    return {
        "scope": state.budget.scope,
        "limit": state.limit,
        "spent": state.spent,
        "reserved": state.reserved,
        "left": state.left,
        "mode": state.budget.mode,
        "resets_at": month.end.isoformat(),
    }
