"""What the OpenAPI document says as a whole; a hook of drf-spectacular (SPECTACULAR_SETTINGS)."""

from http import HTTPStatus
from typing import Any

# Either of the two, under its name in `components.securitySchemes`; or none: an anonymous caller, public chains only.
CREDENTIALS: Any = [{"Bearer": []}, {"ApiKey": []}, {}]
SECURITY_SCHEMES = {
    "Bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`gw_live_…`), as OpenAI clients send it, or an access token of `POST /auth/token`.",
    },
    "ApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "An API key (`gw_live_…`)."},
}

TAGS = [
    {"name": "chat", "description": "Answers from a model, or from the first model of a chain that can."},
    {"name": "comparisons", "description": "One prompt, several models, side by side; and what was compared before."},
    {"name": "embeddings", "description": "Vectors for texts."},
    {"name": "models", "description": "The chains and models that you may use."},
    {"name": "usage", "description": "What you used this month, and what your budgets have left."},
    {"name": "auth", "description": "Short-lived tokens for users who log in with a password."},
    {"name": "health", "description": "For load balancers and monitoring. No credential needed."},
    {"name": "aliases", "description": "Other addresses of the routes above."},
]

ALIASES = {
    "/chat/completions": "/v1/chat/completions",
    "/v1/chat/fallback_completion": "/chat/fallback_completion",
    "/models": "/v1/models",
    "/models/{name}": "/v1/models/{name}",
}

REQUEST_ID = {
    "description": "Names this request in the usage and in the logs. Quote it when you report a problem.",
    "schema": {"type": "string", "pattern": "^req_[0-9a-f]{32}$"},
    "required": True,
}
RETRY_AFTER = {"description": "Seconds to wait before the next try.", "schema": {"type": "integer", "minimum": 1}}
HEADERS_OF_STATUS: dict[str, dict[str, Any]] = {
    "401": {"WWW-Authenticate": {"description": "The scheme of the credential.", "schema": {"type": "string"}}},
    "405": {"Allow": {"description": "The methods of this address.", "schema": {"type": "string"}, "required": True}},
    "409": {"Retry-After": RETRY_AFTER},
    "429": {"Retry-After": RETRY_AFTER},
    "503": {"Retry-After": RETRY_AFTER},
}


def complete(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add the tags, the credentials and the header of every answer; name each header once; mark the aliases."""
    result["tags"] = TAGS
    headers: dict[str, Any] = {}
    result["components"] |= {"securitySchemes": SECURITY_SCHEMES, "headers": headers}
    for path, item in result["paths"].items():
        for method, operation in item.items():
            for status, response in operation["responses"].items():
                response["description"] = response["description"] or HTTPStatus(int(status)).phrase
                headers |= (own := _headers(status, response))
                response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in own}
            if path in ALIASES:
                _mark_alias(operation, f"{method.upper()} {ALIASES[path]}")
    return result


def _headers(status: str, response: dict[str, Any]) -> dict[str, Any]:
    return {"x-request-id": REQUEST_ID, **HEADERS_OF_STATUS.get(status, {}), **response.get("headers", {})}


def _mark_alias(operation: dict[str, Any], route: str) -> None:
    operation["operationId"] += "_alias"
    operation["tags"] = ["aliases"]
    operation["summary"] = operation["description"] = f"The same as {route}"
