"""For the tests of the upstreams: a pool of connections, a vendor to script, and litellm's wire to call it. For the
tests of the routes: a gateway that a module's tests share.
"""

import datetime
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pytest_django import DjangoDbBlocker

from accounts.tests.tables import empty_tables
from conftest import Cast, Catalogue, LiveGateway, live_gateway, make_cast
from proxy.tests.fake_provider import FakeProvider, text
from proxy.tests.raw_server import a_pool
from proxy.tests.vendors.server import Vendor
from proxy.upstreams.http import Pool, pool as pool_module
from proxy.upstreams.http.origin import place_of
from proxy.upstreams.litellm_wire import LitellmWire


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with Vendor() as vendor:
        yield vendor


@pytest.fixture(params=["translation", "sdk"])
async def wire(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LitellmWire]:
    """With what is translated by litellm and sent by us, and with all left to it: the behaviour is the same."""
    wire = LitellmWire()
    if request.param == "sdk":
        library = await wire.prepare()
        monkeypatch.setattr(library.translation, "takes", lambda *_: False)
    yield wire
    await wire.close()


@pytest.fixture
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    place_of.cache_clear()
    yield
    place_of.cache_clear()


@pytest.fixture
async def pool(_no_proxies: None) -> AsyncIterator[Pool]:
    async with a_pool() as pool:
        yield pool


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """A server's side of TLS, for `localhost` only, whose certificate the pool trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "localhost.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    pool_module._tls.cache_clear()
    yield context
    pool_module._tls.cache_clear()


@dataclass
class Site:
    """A gateway that answers `fake/one`, with the cast."""

    gateway: LiveGateway
    cast: Cast
    catalogue: Catalogue
    provider: FakeProvider
    http: httpx.Client


@pytest.fixture(scope="module")
def _site(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    with django_db_blocker.unblock(), FakeProvider() as provider:
        cast, catalogue = make_cast(), Catalogue(provider)
        catalogue.model("fake/one")
        # What one test had answered must not come to the next from the cache.
        options: Any = {"headers": {"Cache-Control": "no-store"}, "timeout": 30}
        with live_gateway() as gateway, httpx.Client(base_url=gateway.url, **options) as http:
            yield Site(gateway, cast, catalogue, provider, http)
        empty_tables()


@pytest.fixture
def site(_site: Site) -> Site:
    """One gateway for all tests of a module, which leave the database as it is: a tenth of the time."""
    _site.provider.received.clear()
    _site.provider.on("one", text("Hello"))
    return _site
