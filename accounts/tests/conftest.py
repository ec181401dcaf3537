"""The cast of the root conftest, one by one, and with passwords that are quick to check."""

import uuid
from copy import deepcopy

import pytest
from pytest_django import Settings

from accounts.models import Tenant, User
from conftest import Cast


@pytest.fixture
def quick_passwords(settings: Settings) -> None:
    """The default hasher takes 0.1 s on purpose."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def own_cache(settings: Settings) -> None:
    """A part of the default cache in which nobody has counted anything yet."""
    caches = deepcopy(settings.CACHES)
    caches["default"]["KEY_PREFIX"] = f"test-{uuid.uuid4().hex}"
    settings.CACHES = caches


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
