"""How a provider can fail us, each with a verdict: try the next link, retry this one first, or stop.

UpstreamFailure                    verdict         trips the breaker
├── ConnectFailed                  NEXT            yes
├── ConnectionBroken               RETRY           yes
├── TimedOut                       NEXT            yes
│   └── CallerTimedOut             NEXT            no         the caller's own, shorter deadline
├── ServerError (5xx)              RETRY for 500   yes
├── MalformedAnswer                NEXT            yes
├── EmptyAnswer                    NEXT            no
├── StreamCut                      NEXT            yes
├── CredentialRejected             NEXT            yes        401, 402, 403: our key's problem, not the caller's
├── RateLimited (429)              NEXT            no         carries Retry-After
├── Busy (408, 409)                NEXT            no
├── BreakerOpen                    NEXT            no         failed lately: not even asked
├── Abandoned                      STOP            no         the caller hung up
├── ContextWindowExceeded          LARGER_WINDOW   no
├── ContentRefused                 STOP            no
└── RequestRejected (other 4xx)    STOP            no
"""

import email.utils
import enum
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

MAX_MESSAGE_LENGTH = 2000
REDACTED = "[redacted]"


class Verdict(enum.Enum):
    NEXT = "next"
    RETRY = "retry"
    LARGER_WINDOW = "larger_window"
    STOP = "stop"


class UpstreamFailure(Exception):
    """A failed attempt. `status` is the provider's HTTP status, or None if it gave none."""

    verdict: Verdict = Verdict.NEXT
    trips_breaker: ClassVar[bool] = True
    code: str = "upstream_error"

    def __init__(
        self, message: str, *, status: int | None = None, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message[:MAX_MESSAGE_LENGTH])
        self.message = message[:MAX_MESSAGE_LENGTH]
        self.status = status
        self.code = code or self.code
        self.param = param

    def redact(self, secret: str) -> None:
        """Take our own credential out of what the provider said: it reaches callers and the usage ledger."""
        if secret:
            self.message = self.message.replace(secret, REDACTED)
            self.code = self.code.replace(secret, REDACTED)
            self.param = self.param.replace(secret, REDACTED) if self.param else self.param


class ConnectFailed(UpstreamFailure):
    code = "connect_failed"


class ConnectionBroken(UpstreamFailure):
    code = "connection_broken"
    verdict = Verdict.RETRY


class TimedOut(UpstreamFailure):
    code = "timeout"


class CallerTimedOut(TimedOut):
    trips_breaker = False  # the caller's patience is nobody else's measure


class ServerError(UpstreamFailure):
    code = "server_error"

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(message, status=status, code=code)
        if status == 500:
            self.verdict = Verdict.RETRY


class MalformedAnswer(UpstreamFailure):
    code = "malformed_answer"


class EmptyAnswer(UpstreamFailure):
    code = "empty_answer"
    trips_breaker = False  # a caller's `stop` can make any model say nothing


class StreamCut(UpstreamFailure):
    code = "stream_cut"


class CredentialRejected(UpstreamFailure):
    code = "provider_credential_rejected"


class RateLimited(UpstreamFailure):
    code = "rate_limit_exceeded"
    trips_breaker = False

    def __init__(
        self, message: str, *, status: int | None = 429, code: str | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, status=status, code=code)
        self.retry_after_s = retry_after_s


class Busy(UpstreamFailure):
    code = "provider_busy"
    trips_breaker = False


class BreakerOpen(UpstreamFailure):
    code = "breaker_open"
    trips_breaker = False


class Abandoned(UpstreamFailure):
    code = "client_closed"
    verdict = Verdict.STOP
    trips_breaker = False


class ContextWindowExceeded(UpstreamFailure):
    code = "context_length_exceeded"
    verdict = Verdict.LARGER_WINDOW
    trips_breaker = False


class ContentRefused(UpstreamFailure):
    code = "content_policy_violation"
    verdict = Verdict.STOP
    trips_breaker = False


class RequestRejected(UpstreamFailure):
    code = "invalid_request"
    verdict = Verdict.STOP
    trips_breaker = False


CONTENT_CODES = frozenset({"content_policy_violation", "content_filter", "ResponsibleAIPolicyViolation"})
CONTEXT_CODES = frozenset({"context_length_exceeded", "context_window_exceeded", "string_above_max_length"})


def from_response(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFailure:
    """The failure that an HTTP answer other than 200 stands for."""
    try:
        error = orjson.loads(body).get("error", {})
    except (orjson.JSONDecodeError, AttributeError):
        error = {}
    if not isinstance(error, dict):
        error = {"message": str(error)}
    return from_error(status, error, retry_after_s=retry_after(headers))


def from_error(status: int, error: Mapping[str, Any], *, retry_after_s: float | None = None) -> UpstreamFailure:
    """The failure of an HTTP status with OpenAI's error object (as a body, or as an event in mid-stream)."""
    message = str(error.get("message") or f"The provider answered with status {status}.")
    code = _text(error.get("code")) or _text(error.get("type"))
    param = _text(error.get("param"))
    if status == 429:
        return RateLimited(message, code=code, retry_after_s=retry_after_s)
    if code in CONTEXT_CODES or (status in {400, 413} and "maximum context length" in message):
        return ContextWindowExceeded(message, status=status, param=param)
    if code in CONTENT_CODES:
        return ContentRefused(message, status=status, code=code, param=param)
    if status in {401, 402, 403}:
        return CredentialRejected("The provider refused the gateway's own credential.", status=status)
    if status in {408, 409}:
        return Busy(message, status=status, code=code)
    if status >= 500:
        return ServerError(message, status=status, code=code)
    if status >= 400:
        return RequestRejected(message, status=status, code=code, param=param)
    return MalformedAnswer(f"The provider answered with the unexpected status {status}.", status=status)


def from_stream_error(error: Any) -> UpstreamFailure:
    """The failure of an `{"error": …}` event. Providers put a status, a word or nothing into its code."""
    if not isinstance(error, dict):
        return ServerError(str(error), status=None)
    code = error.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        return from_error(code, {**error, "code": error.get("type")})
    if _text(code) in CONTEXT_CODES | CONTENT_CODES:
        return from_error(400, error)
    if "rate_limit" in f"{code} {error.get('type')}":
        return from_error(429, error)
    return ServerError(str(error.get("message") or "The provider failed in mid-stream."), code=_text(code))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from `retry-after-ms` or `Retry-After` (seconds or an HTTP date, RFC 9110 10.2.3); None if absent."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        value = headers.get("retry-after")
        if not value:
            return None
        if value.replace(".", "", 1).isdigit():
            return float(value)
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _text(value: Any) -> str | None:
    return value[:100] if isinstance(value, str) and value else None
