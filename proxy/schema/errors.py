"""What a call may be refused with: the statuses, the envelope, and an example of each."""

from dataclasses import dataclass, field
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework import serializers

from accounts.serializers import ErrorEnvelopeSerializer, ErrorSerializer

Status = int | str


class AttemptSerializer(serializers.Serializer[Any]):
    """One call to a provider."""

    model = serializers.CharField()
    status = serializers.IntegerField(allow_null=True, help_text="The provider's HTTP status, if it gave one.")
    code = serializers.CharField(allow_null=True, help_text="What went wrong; null if nothing did.")
    ms = serializers.IntegerField(help_text="How long it took, in milliseconds.")


class CallErrorSerializer(ErrorSerializer):
    attempts = AttemptSerializer(
        many=True, required=False, help_text="What was tried, in order. There when models were asked."
    )


class CallErrorEnvelopeSerializer(serializers.Serializer[Any]):
    """OpenAI's error object, with the attempts of a call that failed at the providers."""

    error = CallErrorSerializer()


@dataclass(frozen=True)
class Refusal:
    """When an HTTP status is answered, and what such an answer looks like."""

    when: str
    type: str
    code: str
    message: str
    param: str | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)

    def body(self) -> dict[str, Any]:
        error = {
            "message": self.message,
            "type": self.type,
            "param": self.param,
            "code": self.code,
            "request_id": "req_0199f2a64c1e4b7d9a52c0e8f6134d7b",
        }
        return {"error": {**error, "attempts": self.attempts} if self.attempts else error}


def attempt(model: str, status: int | None, code: str, ms: int) -> dict[str, Any]:
    return {"model": model, "status": status, "code": code, "ms": ms}


REFUSALS: dict[Status, Refusal] = {
    400: Refusal(
        "The request is wrong; `param` names the field. Also where a provider finds it wrong: then with the provider's "
        "code, and `attempts`.",
        "invalid_request_error",
        "invalid_request",
        "max_tokens must be a whole number of at least 1.",
        param="max_tokens",
    ),
    401: Refusal(
        "No credential, or one that is wrong, expired or revoked.",
        "authentication_error",
        "invalid_api_key",
        "This API key is wrong, expired or revoked. Check it, or ask an administrator of your tenant for a new one.",
    ),
    403: Refusal(
        "The API key may not use this model, or not from this network address.",
        "permission_error",
        "model_not_allowed",
        "Your API key may not use “demo”. GET /v1/models lists what it may use.",
        param="model",
    ),
    404: Refusal(
        "There is no such chain or model, or it is another tenant's.",
        "invalid_request_error",
        "model_not_found",
        "There is no model or chain named “gpt-0” for you. GET /v1/models lists what you may use.",
        param="model",
    ),
    405: Refusal(
        "This address does not know the HTTP method.",
        "invalid_request_error",
        "method_not_allowed",
        "DELETE is not allowed here. See /api/docs for the methods of this route.",
    ),
    408: Refusal(
        "The body did not arrive in time.",
        "invalid_request_error",
        "request_timeout",
        "The body did not arrive within 30 seconds. Send it again.",
    ),
    409: Refusal(
        "This `Idempotency-Key` stands for another request (`idempotency_conflict`), or the request is still under way "
        "and `Retry-After` says when to ask again (`request_in_flight`).",
        "invalid_request_error",
        "idempotency_conflict",
        "This Idempotency-Key was sent with another request in the last 24 hours. Send the same body to the same route "
        "to get its answer, or choose a new key.",
        param="Idempotency-Key",
    ),
    413: Refusal(
        "The body is over the limit (32 MB unless the operator set another).",
        "invalid_request_error",
        "body_too_large",
        "The body is larger than 32 MB. Send less, or ask the operator for a higher limit.",
    ),
    415: Refusal(
        "The body is not JSON, or not said to be.",
        "invalid_request_error",
        "unsupported_media_type",
        "Send the body as JSON, with the header Content-Type: application/json.",
    ),
    "4XX": Refusal(
        "A provider found the request wrong, and no other model was asked: the provider's status and code.",
        "invalid_request_error",
        "unprocessable",
        "The schema in response_format is not valid.",
        param="response_format",
        attempts=[attempt("openai/gpt-4o-mini", 422, "unprocessable", 240)],
    ),
    429: Refusal(
        "Every model of the chain was rate limited. Wait for `Retry-After`.",
        "upstream_error",
        "rate_limit_exceeded",
        "No model answered: demo/ratelimited (rate_limit_exceeded). Try again in a moment, or ask a chain: it "
        "goes on to its next model.",
        attempts=[attempt("demo/ratelimited", 429, "rate_limit_exceeded", 1)],
    ),
    502: Refusal(
        "No model answered.",
        "upstream_error",
        "connect_failed",
        "No model answered: demo/down (connect_failed). Try again in a moment, or ask a chain: it "
        "goes on to its next model.",
        attempts=[attempt("demo/down", None, "connect_failed", 1)],
    ),
    503: Refusal(
        "The chain has no model that can be asked, or a part of the gateway does not answer just now. `Retry-After` "
        "says when to try again.",
        "gateway_error",
        "ledger_unavailable",
        "The gateway is starting. Try again in a moment.",
    ),
    504: Refusal(
        "No model answered in time.",
        "upstream_error",
        "timeout",
        "No model answered: demo/slow (timeout). Try again in a moment, or ask a chain: it goes on to its next model.",
        attempts=[attempt("demo/slow", None, "timeout", 500)],
    ),
}


def refusals(
    *statuses: Status, envelope: type[serializers.Serializer[Any]] = ErrorEnvelopeSerializer
) -> dict[Status, OpenApiResponse]:
    """The responses of an operation that may be refused with these."""
    return {
        status: OpenApiResponse(envelope, refusal.when, [OpenApiExample(refusal.code, refusal.body())])
        for status, refusal in ((status, REFUSALS[status]) for status in statuses)
    }


CALL_REFUSALS = refusals(
    400, 401, 403, 404, 405, 408, 409, 413, 415, "4XX", 429, 502, 503, 504, envelope=CallErrorEnvelopeSerializer
)
