"""Where a base URL leads, and the head of requests to it."""

import base64
import functools
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from proxy.upstreams.failures import ConnectFailed, CredentialRejected

_PORTS = {"http": 80, "https": 443}
_PLAIN_IN_PATHS = "/:@!$&'()*+,;=-._~%"
_ALWAYS = {"user-agent": "llm-gateway-proxy", "accept": "*/*", "content-type": "application/json"}

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy of the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY). `authorization`: a header line, or b""."""

    host: str
    port: int
    authorization: bytes


@dataclass(frozen=True, slots=True)
class Origin:
    """One server, and the proxy on the way to it."""

    host: str
    port: int
    is_secure: bool
    proxy: Proxy | None = None

    @property
    def authority(self) -> str:
        return f"{self._bracketed_host}:{self.port}"

    @property
    def host_header(self) -> str:
        """Without the port where it is the scheme's own (RFC 9110, 4.2)."""
        is_usual = self.port == _PORTS["https" if self.is_secure else "http"]
        return self._bracketed_host if is_usual else self.authority

    @property
    def _bracketed_host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, slots=True)
class Place:
    """An address to POST to: its origin, and a request's head up to the length of its body."""

    origin: Origin
    head: bytes


@functools.lru_cache(maxsize=4096)
def place_of(url: str, api_key: str, headers: Headers = ()) -> Place:
    """Raises ConnectFailed for an address that is none, CredentialRejected for a key that no header can hold.

    The key is a Bearer's. Where a provider wants it elsewhere it is among the headers, which replace ours by name.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode("ascii")
        if not host:
            raise ValueError("no host")
        port = parts.port or _PORTS[parts.scheme]
        origin = Origin(host, port, parts.scheme == "https")
        origin = replace(origin, proxy=_proxy_for(parts.scheme, origin))
    except (ValueError, KeyError) as error:
        raise ConnectFailed("The provider could not be reached.") from error
    path = quote(parts.path or "/", safe=_PLAIN_IN_PATHS)
    if parts.query:
        path += "?" + quote(parts.query, safe=_PLAIN_IN_PATHS + "?")
    goes_through_proxy = origin.proxy and not origin.is_secure
    lines = [
        f"POST {f'http://{origin.authority}' if goes_through_proxy else ''}{path} HTTP/1.1",
        f"Host: {origin.host_header}",
        "Accept-Encoding: identity",
        *_header_lines(api_key, headers),
    ]
    head = "\r\n".join(lines).encode("ascii")
    if origin.proxy and goes_through_proxy:
        head += origin.proxy.authorization
    return Place(origin, head + b"\r\nContent-Length: ")


def _header_lines(api_key: str, headers: Headers) -> list[str]:
    fields = _ALWAYS | {name.lower(): value for name, value in headers}
    if api_key:
        fields["authorization"] = f"Bearer {api_key}"
    if not all(value.isascii() and value.isprintable() for value in fields.values()):  # all but the key is ours
        raise CredentialRejected("The provider's key has characters that no HTTP header can hold.")
    return [f"{name}: {value}" for name, value in fields.items()]


def _proxy_for(scheme: str, origin: Origin) -> Proxy | None:
    """Looked up once for each provider, not in a thread for each request. Raises ConnectFailed, ValueError."""
    # NO_PROXY names hosts, with or without a port; IPv6 addresses also without the brackets that a port needs.
    goes_directly = proxy_bypass(origin.authority) or proxy_bypass(origin.host)
    address = None if goes_directly else getproxies().get(scheme)
    if not address:
        return None
    parts = urlsplit(address if "//" in address else f"http://{address}")
    if parts.scheme != "http" or not parts.hostname:  # others would be sent the password in the clear
        raise ConnectFailed("The proxy on the way to the provider is not an http:// address.")
    authorization = b""
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        authorization = b"\r\nProxy-Authorization: Basic " + base64.b64encode(pair)
    return Proxy(parts.hostname, parts.port or 80, authorization)
