import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import User
from accounts.tests.auth_routes import ROUTES, Post, assert_refused

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_cache", "still_clock")]


def test_the_eleventh_login_from_an_address_in_a_minute_has_to_wait(
    alice: User, log_in: Any, still_clock: SimpleNamespace
):
    statuses = [log_in(username=f"user{n}").status_code for n in range(10)]
    response = log_in()

    assert statuses == [401] * 10
    assert_refused(response, 429, "rate_limit_error", "rate_limit_exceeded")
    assert 1 <= int(response["Retry-After"]) <= 60
    still_clock.now += int(response["Retry-After"]) + 1
    assert log_in().status_code == 200


def test_the_eleventh_guess_at_a_username_has_to_wait_wherever_it_comes_from(alice: User, log_in: Any):
    statuses = [log_in(password="guess", ip=f"192.0.2.{n}").status_code for n in range(10)]

    assert statuses == [401] * 10
    assert_refused(log_in(ip="192.0.2.99"), 429, "rate_limit_error", "rate_limit_exceeded")


def test_guesses_from_elsewhere_do_not_keep_out_somebody_who_logged_in_from_here(alice: User, log_in: Any):
    log_in(ip="198.51.100.1")
    for n in range(20):
        log_in(password="guess", ip=f"192.0.2.{n}")

    assert log_in(ip="198.51.100.1").status_code == 200


def test_guesses_from_a_known_address_are_limited_too(alice: User, log_in: Any, still_clock: SimpleNamespace):
    log_in(ip="198.51.100.1")
    still_clock.now += 120

    assert [log_in(password="guess", ip="198.51.100.1").status_code for _ in range(11)] == [401] * 10 + [429]


@pytest.mark.parametrize("route", ["/auth/token/refresh", "/auth/token/verify", "/auth/logout"])
def test_the_other_routes_allow_sixty_calls_a_minute_from_an_address(post: Post, route: str):
    statuses = [post(route, {}).status_code for _ in range(61)]

    assert statuses == [400] * 60 + [429]
    assert post(route, {}, ip="192.0.2.2").status_code == 400


def test_addresses_of_one_ipv6_subscriber_count_together(log_in: Any):
    statuses = [log_in(username=f"user{n}", ip=f"2001:db8:1:2::{n:x}").status_code for n in range(11)]

    assert statuses == [401] * 10 + [429]
    assert log_in(username="somebody", ip="2001:db8:1:3::1").status_code == 401


def test_callers_behind_a_trusted_proxy_count_separately(settings: Settings, log_in: Any):
    settings.GATEWAY_TRUSTED_PROXIES = ["10.0.0.0/8"]
    statuses = [
        log_in(username=f"user{n}", ip="10.0.0.1", HTTP_X_FORWARDED_FOR=f"192.0.2.{n}").status_code for n in range(11)
    ]

    assert statuses == [401] * 11


def test_an_invented_forwarded_address_does_not_get_around_the_limit(log_in: Any):
    statuses = [log_in(username=f"user{n}", HTTP_X_FORWARDED_FOR=f"198.51.100.{n}").status_code for n in range(11)]

    assert statuses == [401] * 10 + [429]


@pytest.fixture(params=["refusing", "silent"])
def dead_redis(request: pytest.FixtureRequest, settings: Settings) -> Iterator[None]:
    """The attempts are to be counted in a Redis that refuses connections, or accepts them and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if request.param == "silent":
            listener.listen()
        settings.CACHES = {
            "default": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": f"redis://127.0.0.1:{listener.getsockname()[1]}",
                "OPTIONS": {"SOCKET_CONNECT_TIMEOUT": 0.1, "SOCKET_TIMEOUT": 0.1},
            }
        }
        yield


@pytest.mark.usefixtures("dead_redis")
@pytest.mark.parametrize("route", ROUTES)
def test_without_redis_there_are_no_attempts(post: Post, route: str):
    response = post(route, {})

    assert_refused(response, 503, "gateway_error", "ledger_unavailable")
    assert int(response["Retry-After"]) >= 1
