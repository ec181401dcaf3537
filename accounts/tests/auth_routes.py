"""What the tests of the /auth/* routes have in common."""

from collections.abc import Callable
from typing import Any

Post = Callable[..., Any]
ROUTES = ["/auth/token", "/auth/token/refresh", "/auth/token/verify", "/auth/logout"]


def assert_refused(response: Any, status: int, type_: str, code: str, param: str | None = None) -> str:
    """The refusal has the contract's envelope; returns its message."""
    assert (response.status_code, response["Content-Type"]) == (status, "application/json")
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "request_id"}
    assert (error["type"], error["code"], error["param"]) == (type_, code, param)
    return str(error["message"])


def assert_dead(response: Any) -> str:
    return assert_refused(response, 401, "authentication_error", "invalid_api_key")
