"""Fixtures of all apps: a fixed cast, a provider to script, and a gateway on a real socket.

The suite runs on the embedded default, and with DATABASE_URL and REDIS_URL set on real Postgres and Redis. Tests marked
`services` need the real ones (a Celery worker, a second web process); on the embedded default they are left out, and so
are those marked `browser`, unless GATEWAY_TEST_BROWSER is set. These need Chromium, too.
"""

import asyncio
import gc
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace

import django_ratelimit.core
import httpx
import openai
import pytest
import uvicorn
import uvloop
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.cache import cache
from django.core.management import call_command
from django.test import TransactionTestCase
from django.test.utils import setup_databases, teardown_databases
from pytest_django import DjangoDbBlocker, Settings
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

import gateway_project.celery  # noqa: F401 - the current application of tests, too
from accounts.models import APIKey, Tenant, User
from accounts.models.user import Role
from accounts.sql import health
from accounts.tests.clock import RedisClock
from accounts.tests.ledgers import open_empty_redis
from accounts.tests.tables import empty_tables
from proxy.http.server import Server, configuration
from proxy.models import ChainLink, Model, ModelChain, Provider, Usage
from proxy.tests.fake_provider import FakeProvider
from proxy.usage.drain import drain

PASSWORD = "correct horse battery"
PATIENCE_S = 10.0
LoopFactory = Callable[[], asyncio.AbstractEventLoop]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)


def pytest_configure(config: pytest.Config) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the slow one guards nothing here
    patch = pytest.MonkeyPatch()
    patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: empty_tables())
    _read_once(patch)
    config.addinivalue_line("markers", "services: needs real Postgres and Redis (make test-services)")
    config.addinivalue_line("markers", "both_loops: an async test that runs under asyncio's own event loop and uvloop")
    config.addinivalue_line("markers", "browser: needs Chromium, and runs where `services` do")


def _read_once(patch: pytest.MonkeyPatch) -> None:
    """What every client of a test would read anew: httpx's the certificate authorities, Django's all static files."""
    patch.setattr("httpx._transports.default.create_ssl_context", lru_cache(httpx.create_ssl_context))
    files: dict[str, StaticFile] = {}
    list_files = WhiteNoiseMiddleware.add_files_from_finders

    def add_files(middleware: WhiteNoiseMiddleware) -> None:
        if not files:
            list_files(middleware)
            files.update(middleware.files)
        middleware.files.update(files)

    patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", add_files)


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    own = {"asyncio": asyncio.new_event_loop}
    return {**own, "uvloop": uvloop.new_event_loop} if item.get_closest_marker("both_loops") else own


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """A million objects that stay: the garbage collector need not look through them while they are made, nor later."""
    gc.disable()
    yield
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, not skip: a skipped test is one that was forgotten."""
    if (settings.EMBEDDED and not os.environ.get("GATEWAY_TEST_BROWSER")) or not CHROMIUM:
        _leave_out("browser", config, items)
    if settings.EMBEDDED:
        _leave_out("services", config, items)


def _leave_out(marker: str, config: pytest.Config, items: list[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker(marker)])
    items[:] = [item for item in items if not item.get_closest_marker(marker)]


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None,
    django_db_modify_db_settings: None,
    django_db_keepdb: bool,
    django_db_createdb: bool,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[None]:
    """A test database, without the starter catalogue that `migrate` puts in: each test makes what it needs.

    pytest-django's own makes none where no test asks for `db`, and whoever unblocks the database then, as fixtures of a
    module's scope do, would write into the real one.
    """
    with django_db_blocker.unblock():
        keepdb = django_db_keepdb and not django_db_createdb
        databases = setup_databases(verbosity=0, interactive=False, keepdb=keepdb)
        call_command("flush", interactive=False, verbosity=0)
    yield
    if not django_db_keepdb:
        with django_db_blocker.unblock():
            teardown_databases(databases, verbosity=0)


@dataclass
class Member:
    """One of the cast: a user with a key."""

    user: User
    key: str
    key_row: APIKey

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@dataclass
class Cast:
    """Tenant acme with alice (member) and bob (tenant administrator); tenant globex with charlie."""

    acme: Tenant
    globex: Tenant
    alice: Member
    bob: Member
    charlie: Member


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def make_cast() -> Cast:
    """One insert for each kind: every second test starts here, and each change of the configuration is counted."""
    acme, globex = Tenant.objects.bulk_create([Tenant(name="acme"), Tenant(name="globex")])
    users = User.objects.bulk_create(
        [
            User(
                username=username,
                email=f"{username}@example.com",
                password=make_password(PASSWORD),
                tenant=tenant,
                role=role,
                is_staff=role == Role.TENANT_ADMIN,
                requests_per_minute=0,
            )
            for username, tenant, role in [
                ("alice", acme, Role.MEMBER),
                ("bob", acme, Role.TENANT_ADMIN),
                ("charlie", globex, Role.MEMBER),
            ]
        ]
    )
    rows = [APIKey(user=user, name=f"{user.username}'s key") for user in users]
    keys = [row.assign_key() for row in rows]
    APIKey.objects.bulk_create(rows)
    return Cast(acme, globex, *(Member(*member) for member in zip(users, keys, rows, strict=True)))


@pytest.fixture(autouse=True)
def _empty_redis() -> Iterator[None]:
    open_empty_redis()
    yield
    open_empty_redis()


@pytest.fixture(autouse=True)
def _database_is_trusted() -> None:
    """What one test did to the database must not trouble the next."""
    health.forget()


@pytest.fixture(autouse=True)
def _empty_cache(request: pytest.FixtureRequest) -> None:
    """django-ratelimit counts in the cache; on the embedded default that is a table of the test's own database."""
    if not settings.EMBEDDED:
        cache.clear()


@pytest.fixture
def own_cache(settings: Settings) -> None:
    """A part of the default cache in which nobody has counted anything yet."""
    caches = deepcopy(settings.CACHES)
    caches["default"]["KEY_PREFIX"] = f"test-{uuid.uuid4().hex}"
    settings.CACHES = caches


@pytest.fixture
def still_clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """django-ratelimit's clock stands still, so that no window ends in the middle of a test."""
    clock = SimpleNamespace(now=1_800_000_000.0)
    clock.time = lambda: clock.now
    monkeypatch.setattr(django_ratelimit.core, "time", clock)
    return clock


@pytest.fixture
def redis_clock(monkeypatch: pytest.MonkeyPatch) -> RedisClock:
    """Admission's time; set it before the first request."""
    return RedisClock(monkeypatch)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """A local server that speaks OpenAI's wire as each test scripts it."""
    with FakeProvider() as fake:
        yield fake


@dataclass
class Catalogue:
    """Makes providers, models and chains in a line each."""

    fake: FakeProvider

    def model(self, name: str = "fake/one", **fields: object) -> Model:
        """A model of the scripted provider; its upstream name is what follows the slash."""
        row, _ = Provider.objects.get_or_create(
            name="fake", defaults={"kind": "openai", "base_url": self.fake.base_url, "needs_key": False}
        )
        upstream_name = name.rpartition("/")[2]
        return Model.objects.create(name=name, **{"provider": row, "upstream_name": upstream_name, **fields})

    def demo(self, name: str) -> Model:
        """One of the built-in demo models."""
        row, _ = Provider.objects.get_or_create(
            name="demo", defaults={"kind": "demo", "wire": "demo", "needs_key": False}
        )
        model, _ = Model.objects.get_or_create(name=f"demo/{name}", defaults={"provider": row, "upstream_name": name})
        return model

    def chain(self, name: str, *links: Model | dict[str, object], **fields: object) -> ModelChain:
        """A chain of models, or of mappings with `model` and the link's own settings."""
        chain = ModelChain.objects.create(name=name, **fields)
        for position, link in enumerate(links):
            settings_of_link = link if isinstance(link, dict) else {"model": link}
            ChainLink.objects.create(chain=chain, position=position, **settings_of_link)
        return chain


@pytest.fixture
def catalogue(provider: FakeProvider, db: None) -> Catalogue:
    return Catalogue(provider)


@dataclass
class LiveGateway:
    """The ASGI application on a socket, served in a thread."""

    url: str

    def sdk(self, member: Member, **options: object) -> openai.OpenAI:
        """The official client, as a caller would use it; without its own retries."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=member.key, **{"max_retries": 0, **options})

    def async_sdk(self, member: Member, **options: object) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=member.key, **{"max_retries": 0, **options})


@pytest.fixture
def gateway(transactional_db: None) -> Iterator[LiveGateway]:
    with live_gateway() as gateway:
        yield gateway


class PromptServer(Server):
    """Says that it listens, and ends when it is told to; uvicorn's looks ten times a second whether it should."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config, stop_patience_s=0)
        self.listens = threading.Event()
        self.end = asyncio.Event()

    async def main_loop(self) -> None:
        self.listens.set()
        ticking = asyncio.create_task(super().main_loop())
        await self.end.wait()
        ticking.cancel()


@contextmanager
def live_gateway() -> Iterator[LiveGateway]:
    """A gateway on a port of its own, for as long as the block lasts."""
    from gateway_project.asgi import application  # noqa: PLC0415 - needs the settings of the test

    listener = socket.create_server(("127.0.0.1", 0))
    server = PromptServer(configuration(application))
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=[server.serve([listener])], daemon=True)
    thread.start()
    assert server.listens.wait(PATIENCE_S), "the gateway does not listen"
    try:
        yield LiveGateway(f"http://127.0.0.1:{listener.getsockname()[1]}")
    finally:
        loop.call_soon_threadsafe(server.end.set)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        loop.close()


@pytest.fixture
def recorded(transactional_db: None) -> Callable[[int], list[Usage]]:
    """The usage rows, oldest first, once there are that many: drains the stream as a worker would."""

    def rows(count: int = 1) -> list[Usage]:
        def enough() -> bool:
            drain()
            return Usage.objects.count() >= count

        wait_until(enough, f"{count} usage rows")
        return list(Usage.objects.order_by("id"))

    return rows


def wait_until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Poll a condition; fails with what was waited for."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {patience_s:g} s in vain for {what}"
        time.sleep(0.02)
