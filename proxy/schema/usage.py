"""`GET /v1/usage`."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers

from proxy.schema.document import CREDENTIALS
from proxy.schema.errors import refusals
from proxy.schema.fields import constant


class MonthPeriodSerializer(serializers.Serializer[Any]):
    """A calendar month."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField(help_text="The first moment of the next month.")
    time_zone = serializers.CharField(help_text="The tenant's.")


class MonthBudgetSerializer(serializers.Serializer[Any]):
    """A budget that applies to the caller, as it stands this moment."""

    scope = serializers.ChoiceField(["tenant", "user", "key", "ip"])
    limit = serializers.IntegerField(help_text="Tokens this month, top-ups included.")
    spent = serializers.IntegerField()
    reserved = serializers.IntegerField(help_text="By requests in flight; what they do not use comes back.")
    left = serializers.IntegerField()
    mode = serializers.ChoiceField(["hard", "soft"], help_text="A soft budget refuses nothing.")
    resets_at = serializers.DateTimeField()


class MonthSerializer(serializers.Serializer[Any]):
    """The caller's own month: what is recorded, a second or two after each answer, and the budgets, live."""

    object = constant("usage")
    period = MonthPeriodSerializer()
    requests = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField(help_text="Part of the prompt tokens, at the provider's cache price.")
    cost_usd = serializers.CharField(help_text="US dollars, six decimals.")
    budgets: Any = MonthBudgetSerializer(many=True)


MONTH = {"start": "2026-11-01T00:00:00+01:00", "end": "2026-12-01T00:00:00+01:00", "time_zone": "Europe/Berlin"}
BUDGET = {
    "scope": "user",
    "limit": 100000,
    "spent": 1200,
    "reserved": 0,
    "left": 98800,
    "mode": "hard",
    "resets_at": MONTH["end"],
}
ANSWER = {
    "object": "usage",
    "period": MONTH,
    "requests": 12,
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "cached_tokens": 0,
    "cost_usd": "0.001230",
    "budgets": [BUDGET],
}

retrieve_usage = extend_schema(
    operation_id="retrieve_usage",
    tags=["usage"],
    summary="See what you used this month, and what is left",
    description="Counts are the user's, over all keys. Budgets are those of the tenant, the user and the key shown.",
    auth=CREDENTIALS,
    responses={
        200: OpenApiResponse(MonthSerializer, "The month so far.", [OpenApiExample("a month", ANSWER)]),
        **refusals(401, 403, 405, 503),
    },
)
