"""Headers of calls: what a caller may ask of the gateway itself, and what the gateway says about its answer."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter

from proxy.models.chain import StreamGuard
from proxy.options import LONGEST_TAG, MOST_TAGS


def asked(name: str, schema: dict[str, Any], description: str) -> OpenApiParameter:
    """A header of requests."""
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, description=description)


def answered(
    name: str, schema: dict[str, Any], description: str, *, on: list[int | str] | None = None
) -> OpenApiParameter:
    """A header of answers: of those with the statuses `on`, or of all."""
    return OpenApiParameter(
        name,
        schema,
        OpenApiParameter.HEADER,
        description=description,
        response=on or True,
    )


TAGS = asked(
    "x-gateway-tags",
    {"type": "string", "examples": ["checkout,beta"]},
    f"Up to {MOST_TAGS} words of up to {LONGEST_TAG} characters, between commas, to find this call by in the usage.",
)
TIMEOUT = asked(
    "x-gateway-timeout-s",
    {"type": "number", "exclusiveMinimum": 0},
    "Seconds until the first content, over all attempts. The chain's own limit holds where that is shorter.",
)
STREAM_GUARD = asked(
    "x-gateway-stream-guard",
    {"type": "string", "enum": list(StreamGuard.values)},
    "`buffered` holds a streamed answer back until it is whole, so that even a break in the middle falls back unseen.",
)
CACHE_CONTROL = asked(
    "Cache-Control",
    {"type": "string", "examples": ["no-cache"]},
    "`no-cache`: ask the model even if a cached answer is there. `no-store`: and do not keep the answer either.",
)
IDEMPOTENCY_KEY = asked(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255},
    "A name of your own for this request, such as a UUID. Sent again with the same body within 24 hours, it gets the "
    "same answer and asks no model twice.",
)
OPTIONS = [TAGS, TIMEOUT, CACHE_CONTROL, IDEMPOTENCY_KEY]

ANSWERS = [
    answered(
        "x-gateway-model",
        {"type": "string"},
        "The model that answered; of a comparison all that did, in the order of the slots, but not on its stream.",
        on=[200],
    ),
    answered("x-gateway-provider", {"type": "string"}, "Its provider; of a comparison all of them.", on=[200]),
    answered("x-gateway-attempts", {"type": "integer"}, "How many calls to providers it took."),
    answered(
        "x-gateway-cache", {"type": "string", "enum": ["hit", "miss", "bypass"]}, "What the response cache had to do."
    ),
    answered(
        "x-gateway-cost-usd",
        {"type": "string", "pattern": r"^\d+\.\d{6}$"},
        "What the answer cost, in US dollars; 0 where the price is not known, or no model answered. Not on streams.",
    ),
    answered("Age", {"type": "integer"}, "Seconds since a cached answer was given.", on=[200]),
    answered(
        "idempotent-replayed",
        {"type": "string", "const": "true"},
        "There when a request with this `Idempotency-Key` was answered before, and this is its answer again.",
        on=[200],
    ),
    answered("x-ratelimit-limit-requests", {"type": "integer"}, "Requests a minute, of the tightest limit."),
    answered("x-ratelimit-remaining-requests", {"type": "integer"}, "What is left of it."),
    answered(
        "x-ratelimit-reset-requests", {"type": "string"}, "Until its oldest request counts no more: `1s`, `1m0s`."
    ),
    answered("x-gateway-budget-remaining-tokens", {"type": "integer"}, "What the tightest monthly budget has left."),
    answered("x-gateway-overhead-ms", {"type": "number"}, "What the gateway added to the providers' time."),
    answered(
        "x-should-retry",
        {"type": "string", "const": "false"},
        "There when another try will not help.",
        on=[409, 429, 503],
    ),
]
