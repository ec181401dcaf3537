"""Limits on attempts at passwords and tokens, counted by django-ratelimit in the default cache.

Guesses are counted per address and per username, in windows of one minute, so that a lock-out never outlasts the attack
by more than that. Somebody who keeps guessing at a username must not keep its owner out: an address from which the
owner has logged in before is counted by itself.

Where attempts cannot be counted (Redis is down) there are none: 503 rather than unlimited guessing. API keys and access
tokens are not concerned.
"""

import hashlib
from collections.abc import Callable

from django.core.cache import cache
from django.db import DatabaseError
from django.http import HttpRequest
from django_ratelimit.core import get_usage
from redis.exceptions import RedisError

from accounts.errors import PartUnavailable, RateLimited
from accounts.networks import rate_key, request_ip

USERNAME_RATE = "10/m"
KNOWN_ADDRESS_S = 30 * 24 * 3600

Key = Callable[[str, HttpRequest], str]


def limit_address(request: HttpRequest, group: str, rate: str) -> None:
    """Count an attempt from the request's address; raises RateLimited, or PartUnavailable if it cannot be counted."""
    _count(request, group, rate, address_key)


def limit_username(request: HttpRequest, username: str) -> None:
    """Count an attempt at a username, whether it exists or not; raises like `limit_address`."""
    _count(request, "login-username", USERNAME_RATE, lambda group, request: _username_key(username, request))


def remember_address(request: HttpRequest, username: str) -> None:
    """The username's owner logged in from here: attempts at it from elsewhere do not count here for 30 days."""
    try:
        cache.set(_known_address(username, request), 1, KNOWN_ADDRESS_S)
    except (RedisError, DatabaseError) as error:
        raise _cannot_count() from error


def address_key(group: str, request: HttpRequest) -> str:
    """django-ratelimit's key: the caller behind trusted proxies; IPv6 by /64."""
    return rate_key(request_ip(request))


def _username_key(username: str, request: HttpRequest) -> str:
    place = _known_address(username, request)
    return place if cache.get(place) else username


def _known_address(username: str, request: HttpRequest) -> str:
    place = f"{rate_key(request_ip(request))} {username}"
    return f"login-address:{hashlib.sha256(place.encode()).hexdigest()}"


def _count(request: HttpRequest, group: str, rate: str, key: Key) -> None:
    try:
        usage = get_usage(request, group=group, key=key, rate=rate, increment=True)
    except (RedisError, DatabaseError) as error:
        raise _cannot_count() from error
    if usage is None:  # RATELIMIT_ENABLE is off
        return
    if usage["time_left"] < 0:  # django-ratelimit's way to say that the cache failed
        raise _cannot_count()
    if usage["should_limit"]:
        seconds = max(1, usage["time_left"])
        raise RateLimited(f"Too many attempts. Wait {seconds} s, then try again.", retry_after_s=seconds)


def _cannot_count() -> PartUnavailable:
    return PartUnavailable("The gateway cannot check logins and tokens just now. Try again in a moment.")
