"""For the tests of the upstreams: a pool of connections, a vendor to script, and litellm's wire to call it. For the
tests of the routes: a gateway that a module's tests share.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from pytest_django import DjangoDbBlocker

from accounts.tests.tables import empty_tables
from conftest import Cast, Catalogue, LiveGateway, live_gateway, make_cast
from proxy.tests.fake_provider import FakeProvider, text
from proxy.tests.raw_server import a_pool
from proxy.tests.vendors.server import Vendor
from proxy.upstreams.http import Pool
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
