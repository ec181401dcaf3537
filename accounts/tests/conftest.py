"""The cast of the root conftest, one by one and with passwords that are quick to check; calls of the /auth/* routes."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import Tenant, User
from accounts.tests.auth_routes import Post
from conftest import PASSWORD, Cast


@pytest.fixture
def quick_passwords(settings: Settings) -> None:
    """The default hasher takes 0.1 s on purpose."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def acme(quick_passwords: None, cast: Cast) -> Tenant:
    return cast.acme


@pytest.fixture
def alice(quick_passwords: None, cast: Cast) -> User:
    return cast.alice.user


@pytest.fixture
def bob(quick_passwords: None, cast: Cast) -> User:
    return cast.bob.user


@pytest.fixture
def charlie(quick_passwords: None, cast: Cast) -> User:
    return cast.charlie.user


@pytest.fixture
def post() -> Post:
    """Send JSON to a route, from an address of one's choice."""
    client = Client()

    def post(route: str, data: Any, ip: str = "192.0.2.1", **extra: Any) -> Any:
        return client.post(route, data, content_type="application/json", REMOTE_ADDR=ip, **extra)

    return post


@pytest.fixture
def log_in(post: Post) -> Callable[..., Any]:
    def log_in(username: str = "alice", password: str = PASSWORD, **extra: Any) -> Any:
        return post("/auth/token", {"username": username, "password": password}, **extra)

    return log_in
