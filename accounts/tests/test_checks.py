from typing import Any

import pytest
from django.core.checks import Error, run_checks
from pytest_django import Settings

STRONG = "pZ3v9yq-YtF0c1W7mJxk2sQe8uRb5nLhA6dGiTzKoVwXfC4E"


@pytest.fixture(autouse=True)
def _in_production(settings: Settings) -> None:
    settings.DEBUG = False
    settings.SECRET_KEY = STRONG + STRONG


def found(settings: Settings, **changed: Any) -> list[str | None]:
    """The ids of our checks' messages with these settings."""
    for name, value in changed.items():
        setattr(settings, name, value)
    messages = [message for message in run_checks(tags=["security"]) if str(message.id).startswith("gateway.")]
    assert all(message.hint for message in messages)
    assert all(isinstance(message, Error) == str(message.id).startswith("gateway.E") for message in messages)
    return [message.id for message in messages]


def test_a_proper_configuration_has_nothing_to_complain_about(settings: Settings):
    assert (
        found(
            settings,
            GATEWAY_TRUSTED_PROXIES=["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"],
            CORS_ALLOWED_ORIGINS=["https://app.example.com", "http://localhost:3000", "http://[::1]:3000"],
        )
        == []
    )


@pytest.mark.parametrize("key", ["short", "x" * 80, "django-insecure-" + STRONG, "changeme" * 5])
def test_a_weak_secret_key_is_a_warning(settings: Settings, key: str):
    assert found(settings, SECRET_KEY=key) == ["gateway.W001"]


def test_a_weak_secret_key_is_good_enough_for_debugging(settings: Settings):
    assert found(settings, SECRET_KEY="short", DEBUG=True) == []


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_algorithms_with_a_shared_secret_are_accepted(settings: Settings, algorithm: str):
    assert found(settings, SIMPLE_JWT={**settings.SIMPLE_JWT, "ALGORITHM": algorithm}) == []


@pytest.mark.parametrize("algorithm", ["HS265", "hs256", "none", "RS256", "ES256"])
def test_other_algorithms_are_an_error(settings: Settings, algorithm: str):
    assert found(settings, SIMPLE_JWT={**settings.SIMPLE_JWT, "ALGORITHM": algorithm}) == ["gateway.E001"]


@pytest.mark.parametrize("algorithm, length", [("HS256", 31), ("HS384", 47), ("HS512", 63)])
def test_a_signing_key_shorter_than_the_hash_is_a_warning(settings: Settings, algorithm: str, length: int):
    jwt = {**settings.SIMPLE_JWT, "ALGORITHM": algorithm}

    assert found(settings, SIMPLE_JWT={**jwt, "SIGNING_KEY": "k" * length}) == ["gateway.W002"]
    assert found(settings, SIMPLE_JWT={**jwt, "SIGNING_KEY": "k" * (length + 1)}) == []


@pytest.mark.parametrize("network", ["loadbalancer", "10.0.0.0/33", "10.0.0.1/8", "10.0.0", "2001:db8::1/32"])
def test_a_trusted_proxy_that_is_no_network_is_an_error(settings: Settings, network: str):
    assert found(settings, GATEWAY_TRUSTED_PROXIES=["10.0.0.0/8", network]) == ["gateway.E002"]


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_trusting_everybody_is_a_warning(settings: Settings, network: str):
    assert found(settings, GATEWAY_TRUSTED_PROXIES=[network]) == ["gateway.W003"]


@pytest.mark.parametrize(
    "origin",
    [
        "app.example.com",
        "localhost:3000",
        "//app.example.com",
        "https://",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://me@app.example.com",
        "https://[::1",
    ],
)
def test_an_origin_that_no_browser_would_send_is_an_error(settings: Settings, origin: str):
    assert found(settings, CORS_ALLOWED_ORIGINS=[origin]) == ["gateway.E003"]


def test_every_origin_may_be_allowed(settings: Settings):
    assert found(settings, CORS_ALLOWED_ORIGINS=["*"]) == []
