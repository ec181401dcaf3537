"""The request of `/v1/chat/completions`: what we read of it, and what we pass on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accounts.errors import InvalidRequest

MOST_NAMES = 10

# Where and with whose credential a call goes is the gateway's business alone; these steer HTTP clients and litellm.
# fmt: off
FORBIDDEN = frozenset({
    "api_base", "base_url", "api_key", "api_version", "api_type", "organization", "azure_ad_token",
    "azure_ad_token_provider", "custom_llm_provider", "extra_headers", "headers", "extra_body", "extra_query",
    "proxy", "proxies", "http_client", "client", "aws_access_key_id", "aws_secret_access_key", "aws_session_token",
    "aws_region_name", "aws_bedrock_runtime_endpoint", "vertex_project", "vertex_location", "vertex_credentials",
    "num_retries", "max_retries", "timeout", "request_timeout", "mock_response", "mock_tool_calls", "mock_timeout",
    "litellm_params", "litellm_call_id", "litellm_logging_obj", "litellm_metadata", "litellm_credential_name",
    "acompletion", "allowed_openai_params", "drop_params", "additional_drop_params", "callbacks",
    "success_callback", "failure_callback", "caching", "cache", "model_list", "use_in_pass_through",
    "deployment_id", "region_name", "ssl_verify", "shared_session", "model_info", "hf_model_name", "tpm", "rpm",
})
# fmt: on
OURS = ("model", "models", "fallbacks")

# Python's types, and how to tell the caller what is expected.
FieldType = tuple[tuple[type, ...], str]

_NUMBER = (int, float)
_CONTENT = (str, list, type(None))
# The types of OpenAI's own fields; every other field is the provider's business and passes through.
TYPES: dict[str, FieldType] = {
    "messages": ((list,), "a list of messages"),
    "stream": ((bool,), "true or false"),
    "stream_options": ((dict,), "an object"),
    "temperature": (_NUMBER, "a number"),
    "top_p": (_NUMBER, "a number"),
    "presence_penalty": (_NUMBER, "a number"),
    "frequency_penalty": (_NUMBER, "a number"),
    "n": ((int,), "a whole number from 1 to 128"),
    "max_tokens": ((int,), "a whole number from 1 to a billion"),
    "max_completion_tokens": ((int,), "a whole number from 1 to a billion"),
    "seed": ((int,), "a whole number"),
    "top_logprobs": ((int,), "a whole number"),
    "logprobs": ((bool,), "true or false"),
    "stop": ((str, list), "a text or a list of texts"),
    "tools": ((list,), "a list of tools"),
    "tool_choice": ((str, dict), "a text or an object"),
    "parallel_tool_calls": ((bool,), "true or false"),
    "response_format": ((dict,), "an object"),
    "logit_bias": ((dict,), "an object"),
    "user": ((str,), "a text"),
    "metadata": ((dict,), "an object"),
    "modalities": ((list,), "a list"),
    "audio": ((dict,), "an object"),
    "reasoning_effort": ((str,), "a text"),
}
# From 1 to these. Choices: OpenAI's own limit. Tokens: beyond any model, and within the ledger's arithmetic.
MOST = {"n": 128, "max_tokens": 10**9, "max_completion_tokens": 10**9}


@dataclass(slots=True)
class ChatRequest:
    """A checked request. `names`: chains and models to try, in order; `body`: what goes on, without our own fields."""

    names: tuple[str, ...]
    body: dict[str, Any]
    stream: bool
    wants_usage_chunk: bool

    @classmethod
    def parse(cls, data: Any, *, list_required: bool = False) -> "ChatRequest":
        """Check a decoded body; raises InvalidRequest that names the `param` and says what is expected."""
        body = require_object(data)
        names = _names(body, list_required=list_required)
        check_fields(body)
        check_messages(body.get("messages"))
        options = body.get("stream_options") or {}
        return cls(
            names=names,
            body=_passed_on(body),
            stream=bool(body.get("stream")),
            wants_usage_chunk=bool(options.get("include_usage")),
        )


def require_object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise InvalidRequest('Send a JSON object, for example {"model": "default", "messages": […]}.')
    return data


def require_name(value: Any, param: str) -> str:
    """A chain's or model's name; raises InvalidRequest."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequest(f"{param} must be the name of a model or chain. GET /v1/models lists them.", param=param)
    return value


def check_fields(body: Mapping[str, Any], types: Mapping[str, FieldType] = TYPES) -> None:
    """Raises InvalidRequest for forbidden fields, and for OpenAI's fields of the wrong type."""
    if not FORBIDDEN.isdisjoint(body):
        param = min(FORBIDDEN.intersection(body))
        raise InvalidRequest(f"{param} may not be sent: the gateway decides where calls go. Remove it.", param=param)
    check_types(body, types)


def check_types(body: Mapping[str, Any], types: Mapping[str, FieldType]) -> None:
    """Raises InvalidRequest for fields of the wrong type."""
    for name, value in body.items():
        if name in types:
            _check_type(name, value, types[name])


def _check_type(name: str, value: Any, field_type: FieldType) -> None:
    types, expected = field_type
    if value is None and name != "messages":
        return
    # In Python a bool is an int; in JSON it is not.
    wrong = not isinstance(value, types) or (isinstance(value, bool) and bool not in types)
    if wrong or (name in MOST and not 1 <= value <= MOST[name]):
        raise InvalidRequest(f"{name} must be {expected}.", param=name)


def _names(body: Mapping[str, Any], *, list_required: bool) -> tuple[str, ...]:
    names = [require_name(body["model"], "model")] if body.get("model") is not None else []
    for param in ("models", "fallbacks"):
        listed = body.get(param)
        if listed is None:
            continue
        if not isinstance(listed, list):
            raise InvalidRequest(f"{param} must be a list of names of models or chains.", param=param)
        names += [require_name(name, f"{param}[{place}]") for place, name in enumerate(listed)]
    if list_required and not body.get("models"):
        raise InvalidRequest('models must be a list of at least one name, for example ["a", "b"].', param="models")
    if not names:
        raise InvalidRequest("model is missing. Name a model or chain; GET /v1/models lists them.", param="model")
    if len(names) > MOST_NAMES:
        raise InvalidRequest(f"At most {MOST_NAMES} models and chains may be named.", param="models")
    return tuple(dict.fromkeys(names))


def check_messages(messages: Any) -> None:
    """Raises InvalidRequest unless it is a list of at least one message, each with a role."""
    if messages is None:
        raise InvalidRequest("messages is missing. Send a list with at least one message.", param="messages")
    if not messages:
        raise InvalidRequest("messages is empty. Send at least one message.", param="messages")
    for place, message in enumerate(messages):
        is_object = isinstance(message, dict)
        if not (is_object and isinstance(message.get("role"), str) and isinstance(message.get("content"), _CONTENT)):
            raise _wrong_message(message, f"messages[{place}]")


def _wrong_message(message: Any, param: str) -> InvalidRequest:
    if not isinstance(message, dict):
        return InvalidRequest(f'{param} must be an object such as {{"role": "user", "content": "Hi"}}.', param=param)
    if not isinstance(message.get("role"), str):
        return InvalidRequest(f"{param}.role must be a text such as “user”.", param=f"{param}.role")
    return InvalidRequest(f"{param}.content must be a text or a list of parts.", param=f"{param}.content")


def _passed_on(body: Mapping[str, Any]) -> dict[str, Any]:
    rest = {**body}
    for name in OURS:
        rest.pop(name, None)
    return rest
