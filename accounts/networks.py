"""Network addresses: who is calling behind trusted proxies, and what counts as one caller.

IPv4 addresses that arrive inside IPv6 (`::ffff:192.0.2.1`, as on a dual-stack socket) count as IPv4 everywhere.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from django.conf import settings
from django.http import HttpRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNKNOWN = "unknown"
# What one IPv6 subscriber is given at least: anybody can have any number of addresses inside it (RFC 6177).
SUBSCRIBER_BITS = 64
LONGEST_ADDRESS = 64


def request_ip(request: HttpRequest) -> str:
    """The caller's address of a request on Django's own path; "" if the server told none (a Unix socket)."""
    return client_ip(request.META.get("REMOTE_ADDR") or "", request.META.get("HTTP_X_FORWARDED_FOR"))


def client_ip(remote_address: str, forwarded_for: str | None) -> str:
    """The caller's address, given the connection's other end and the X-Forwarded-For header.

    Each proxy appends the address that it was called from, so the header is read from the right, and only for as long
    as the one who reported an entry is in GATEWAY_TRUSTED_PROXIES: what stands further left may be anybody's invention.
    An entry that is no address ends the walk at the proxy that reported it.
    """
    address = _address(remote_address) if forwarded_for else None
    if address is None or not forwarded_for:
        return _normalised(remote_address)
    trusted = _networks(tuple(settings.GATEWAY_TRUSTED_PROXIES))
    for entry in reversed(forwarded_for.split(",")):
        if not _contains(trusted, address):
            break
        reported = _address(_without_port(entry.strip()))
        if reported is None:
            break
        address = reported
    return str(address)


def rate_key(ip: str) -> str:
    """What limits count as one caller: an IPv4 address, or an IPv6 /64."""
    address = _address(ip)
    if address is None:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.IPv6Network((int(address), SUBSCRIBER_BITS), strict=False))


def within(ip: str, networks: Sequence[str]) -> bool:
    """Whether the address is in one of the networks (texts such as 10.0.0.0/8). False for what is no address."""
    address = _address(ip)
    return address is not None and _contains(_networks(tuple(networks)), address)


@lru_cache(maxsize=4096)
def _normalised(text: str) -> str:
    """An address as Python writes it; what is none, as it is."""
    address = _address(text)
    return text if address is None else str(address)


def _contains(networks: tuple[Network, ...], address: Address) -> bool:
    return any(address in network for network in networks)


def _address(text: str) -> Address | None:
    return _parsed_address(text) if len(text) <= LONGEST_ADDRESS else None


@lru_cache(maxsize=4096)
def _parsed_address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=1024)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Entries that are no network are left out, which always errs on the side of allowing and trusting less.

    The admin and the system checks refuse such entries where they are typed.
    """
    return tuple(network for text in texts if (network := _network(text)) is not None)


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _without_port(entry: str) -> str:
    """Some proxies write `192.0.2.1:4711` and `[2001:db8::1]:4711`."""
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry
