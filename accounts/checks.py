"""System checks of the settings that decide who gets in. They run with every `manage.py` command.

gateway.W001  SECRET_KEY is weak or an example
gateway.W002  JWT_SECRET is shorter than its algorithm needs
gateway.W003  GATEWAY_TRUSTED_PROXIES trusts everybody
gateway.E001  JWT_ALGORITHM is not one that a shared secret can sign with
gateway.E002  GATEWAY_TRUSTED_PROXIES has an entry that is no network
gateway.E003  CORS_ALLOWED_ORIGINS has an entry that is no origin
"""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

SHORTEST_SECRET = 50
FEWEST_DIFFERENT = 5
# Bytes of the shortest safe key: as many as the hash has (RFC 7518, 3.2).
ALGORITHMS = {"HS256": 32, "HS384": 48, "HS512": 64}
KEEP_KEYS = "If API keys were issued already, set GATEWAY_ENCRYPTION_KEY to the old SECRET_KEY: they depend on it."
GENERATE = "Set {name} to the output of `python -c 'import secrets; print(secrets.token_urlsafe(64))'`."


def check_secret_key(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """On the embedded default the key is a random one that nobody has to set."""
    key = settings.SECRET_KEY
    is_weak = len(key) < SHORTEST_SECRET or len(set(key)) < FEWEST_DIFFERENT or key.startswith("django-insecure-")
    if settings.DEBUG or not is_weak:
        return []
    return [
        Warning(
            "SECRET_KEY is short, repetitive or the example's: whoever guesses it can forge sessions and tokens.",
            hint=GENERATE.format(name="SECRET_KEY") + " " + KEEP_KEYS,
            id="gateway.W001",
        )
    ]


def check_tokens(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    algorithm, key = str(settings.SIMPLE_JWT["ALGORITHM"]), str(settings.SIMPLE_JWT["SIGNING_KEY"])
    if algorithm not in ALGORITHMS:
        return [
            Error(
                f"JWT_ALGORITHM is {algorithm!r}, but tokens are signed with a secret of the gateway alone.",
                hint=f"Use one of {', '.join(ALGORITHMS)}, or leave it out.",
                id="gateway.E001",
            )
        ]
    if len(key.encode()) < ALGORITHMS[algorithm]:
        return [
            Warning(
                f"JWT_SECRET has {len(key.encode())} bytes; {algorithm} needs {ALGORITHMS[algorithm]} to be safe.",
                hint=GENERATE.format(name="JWT_SECRET") + " Or leave it out: then one is derived from SECRET_KEY.",
                id="gateway.W002",
            )
        ]
    return []


def check_trusted_proxies(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [message for text in settings.GATEWAY_TRUSTED_PROXIES for message in _problems_of_network(text)]


def _problems_of_network(text: str) -> list[CheckMessage]:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        hint = "Write addresses or networks, separated by commas: 10.0.0.0/8,192.168.1.5. Names are not looked up."
        return [Error(f"GATEWAY_TRUSTED_PROXIES: {text!r} is not a network.", hint=hint, id="gateway.E002")]
    if "/" in text and str(network.network_address) != str(ipaddress.ip_interface(text).ip):
        hint = f"Write {network}, if you mean that network."
        return [
            Error(f"GATEWAY_TRUSTED_PROXIES: {text!r} is an address inside a network.", hint=hint, id="gateway.E002")
        ]
    if network.prefixlen == 0:
        hint = "Name only your load balancers: anybody else could write any address into X-Forwarded-For."
        return [Warning(f"GATEWAY_TRUSTED_PROXIES: {text!r} trusts everybody.", hint=hint, id="gateway.W003")]
    return []


def check_cors_origins(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"CORS_ALLOWED_ORIGINS: {origin!r} is not an origin.",
            hint="Write scheme and host, and a port if it is a special one, but no path: https://app.example.com. "
            "Or * for pages of any site.",
            id="gateway.E003",
        )
        for origin in settings.CORS_ALLOWED_ORIGINS
        if origin != "*" and not _is_origin(origin)
    ]


def _is_origin(text: str) -> bool:
    """As a browser sends it in the Origin header (RFC 6454, 6.2)."""
    try:
        parts = urlsplit(text)
        return bool(parts.scheme and parts.hostname) and text == f"{parts.scheme}://{parts.netloc}" and "@" not in text
    except ValueError:
        return False
