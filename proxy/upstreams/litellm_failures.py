"""litellm's exceptions as ours. The provider's own status, headers and message come first, litellm's reading second."""

import re
from typing import Any

import litellm
import openai
import orjson

from proxy.upstreams.base import Target
from proxy.upstreams.failures import (
    ConnectFailed,
    ContentRefused,
    ContextWindowExceeded,
    CredentialRejected,
    MalformedAnswer,
    RequestRejected,
    ServerError,
    UpstreamFailure,
    Verdict,
    from_error,
    retry_after,
)
from proxy.upstreams.litellm_exchange import Exchange

# Some providers refuse our account with a 400.
_OUR_ACCOUNT = ("credit balance is too low", "API key not valid", "API key expired")


class Untranslatable(RequestRejected):
    """litellm could not write the request in the provider's terms: nothing was sent, another provider may take it."""

    code = "untranslatable_request"
    verdict = Verdict.NEXT


def failure_of(error: Exception, exchange: Exchange, target: Target) -> UpstreamFailure:
    """The failure of a call that gave no answer."""
    if exchange.failure:
        return exchange.failure
    if exchange.status is None:
        return _not_sent(error, target)
    if exchange.status < 400:
        return MalformedAnswer("The provider's answer could not be read.", status=exchange.status)
    return _refused(error, exchange, exchange.status, target)


def failure_in_stream(error: Exception, exchange: Exchange, target: Target) -> UpstreamFailure:
    """The failure of a stream that had begun: a break, or an error that the provider wrote into it."""
    if exchange.failure:
        return exchange.failure
    status = getattr(error, "status_code", None)
    if not isinstance(status, int) or status < 400:
        return MalformedAnswer("The provider streamed data that could not be read.")
    message = _clean(str(getattr(error, "message", error)), target)
    if status == 500:  # what litellm writes where the provider names none
        return ServerError(message)
    return from_error(status, {"message": message})


def _not_sent(error: Exception, target: Target) -> UpstreamFailure:
    match _reading(error, target):
        case litellm.AuthenticationError():
            return CredentialRejected("The gateway has no usable credential for this provider.")
        case litellm.exceptions.LiteLLMUnknownProvider():
            return ConnectFailed(f"The gateway knows no providers of the kind {target.kind!r}.")
        case litellm.BadRequestError() as reading:
            return Untranslatable(f"{target.kind} cannot take this request: {_reason(reading, target)}", status=400)
    if library := _missing_library(error):
        return ConnectFailed(f"The gateway needs the Python package {library!r} to speak to {target.kind}.")
    return Untranslatable(f"This request could not be translated for {target.kind}.", status=400)


def _reason(error: Exception, target: Target) -> str:
    """What litellm says first: after it come advice that concerns litellm, and the caller's own texts."""
    text = str(error).rsplit("Error: ", 1)[-1]
    if text.startswith("Image URL download is disabled"):
        return "it does not fetch images from this address. Send the image itself, as a data: URL."
    return _clean(re.split(r"\n|\. |[\[{]", text, maxsplit=1)[0].strip(), target)


def _missing_library(error: BaseException | None) -> str | None:
    """What an import asked for in vain, if that is what lies below this error (Google's and Amazon's SDKs)."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError):
            return error.name
        error = error.__cause__ or error.__context__
    return None


def _refused(error: Exception, exchange: Exchange, status: int, target: Target) -> UpstreamFailure:
    answer = _error_object(exchange.error_body)
    message = _clean(str(answer.get("message") or f"The provider answered with status {status}."), target)
    reading = _reading(error, target)
    if isinstance(reading, litellm.ContextWindowExceededError):
        return ContextWindowExceeded(message, status=status)
    if isinstance(reading, litellm.ContentPolicyViolationError):
        return ContentRefused(message, status=status)
    if any(phrase in message for phrase in _OUR_ACCOUNT):
        status = 401
    wait_s = retry_after(exchange.headers)
    return from_error(
        status,
        {"message": message, "code": answer.get("code"), "type": answer.get("type") or answer.get("status")},
        retry_after_s=wait_s if wait_s is not None else _retry_delay(answer.get("details")),
    )


def _reading(error: Exception, target: Target) -> Exception:
    """litellm's own reading of an error; on the way to a stream it has not always read it yet."""
    try:
        litellm.exception_type(model=target.model, original_exception=error, custom_llm_provider=target.kind)
    except openai.OpenAIError as reading:
        error = reading
    return error


def _error_object(body: bytes) -> dict[str, Any]:
    """`{"error": {…}}` at most providers, in a list of one at Google, bare `{"message": …}` at Amazon and Cohere."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict):
        return {}
    error = data.get("error", data)
    return error if isinstance(error, dict) else {"message": str(error)}


def _retry_delay(details: Any) -> float | None:
    """Google's RetryInfo, in seconds (google.rpc.RetryInfo: a duration such as "19s" or "0.5s")."""
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and delay.removesuffix("s").replace(".", "", 1).isdigit():
            return float(delay.removesuffix("s"))
    return None


def _clean(message: str, target: Target) -> str:
    """Some providers repeat the key that they refuse."""
    return message.replace(target.api_key, "[key]") if target.api_key else message
