"""`manage.py demo` and the starter catalogue: what a new installation has."""

import importlib
import importlib.util
import json
import re
import shlex
import stat
from pathlib import Path

import httpx
import pytest
import yaml
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from pytest_django import Settings

from accounts.models import APIKey, ConfigurationVersion, Tenant, User
from conftest import LiveGateway
from proxy.configuration import DEMO, STARTER
from proxy.models import ChainLink, Model, ModelChain, Provider
from proxy.tests.config_files import apply, export
from proxy.upstreams import demo as demo_upstream

pytestmark = pytest.mark.django_db
starter_migration = importlib.import_module("proxy.migrations.0002_starter_catalogue")


@pytest.fixture(autouse=True)
def kept(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the demo keeps its secrets."""
    settings.GATEWAY_DATA_DIR = tmp_path / "var"
    monkeypatch.delenv("PORT", raising=False)
    return tmp_path / "var" / "demo.json"


@pytest.fixture
def demo(capsys: pytest.CaptureFixture[str]) -> "Demo":
    return Demo(capsys)


class Demo:
    """Runs the command; keeps what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.printed = ""

    def run(self) -> str:
        call_command("demo")
        self.printed = self._capsys.readouterr().out
        return self.printed

    @property
    def key(self) -> str:
        return re.search(r"API key +(gw_live_\w+)$", self.printed, re.MULTILINE)[1]  # type: ignore[index]

    @property
    def password(self) -> str:
        return re.search(r"user name admin, password (\S+)$", self.printed, re.MULTILINE)[1]  # type: ignore[index]

    @property
    def member_password(self) -> str:
        return re.search(r"user name demo, password (\S+)$", self.printed, re.MULTILINE)[1]  # type: ignore[index]


# What it prints ----------------------------------------------------------------------------------------------------


def test_it_prints_the_address_a_login_a_key_and_a_line_to_try(demo: Demo):
    demo.run()
    assert re.search(r"URL +http://127\.0\.0\.1:5000$", demo.printed, re.MULTILINE)

    admin = User.objects.get(username="admin")
    assert admin.is_superuser
    assert admin.check_password(demo.password)

    assert re.search(r"Playground +http://127\.0\.0\.1:5000/playground/  user name demo", demo.printed)
    assert User.objects.get(username="demo").check_password(demo.member_password)

    row = APIKey.objects.for_key(demo.key)
    assert row is not None
    assert row.is_usable
    assert row.user.tenant == Tenant.objects.get(name="demo")
    assert (row.user.role, row.user.requests_per_minute) == ("member", None)


def test_it_prints_the_port_that_make_run_serves_on(demo: Demo, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PORT", "6123")
    assert "curl http://127.0.0.1:6123/v1/chat/completions" in demo.run()


def test_the_line_to_try_answers_after_a_fallback(gateway: LiveGateway, demo: Demo):
    demo.run()
    [line] = re.findall(r"^ *(curl .*)$", demo.printed, re.MULTILINE)
    _, url, *options = shlex.split(line)
    assert options[::2] == ["-H", "-H", "-d"]
    authorization, content_type, body = options[1::2]

    answer = httpx.post(
        url.replace("http://127.0.0.1:5000", gateway.url),
        content=body,
        headers=dict(header.split(": ") for header in (authorization, content_type)),
        timeout=20,
    )
    assert answer.status_code == 200
    assert "Hello" in answer.json()["choices"][0]["message"]["content"]
    assert (answer.headers["x-gateway-model"], answer.headers["x-gateway-attempts"]) == ("demo/echo", "2")


def test_a_second_run_prints_the_same_and_changes_nothing(demo: Demo):
    first = demo.run()
    version = ConfigurationVersion.current()
    assert demo.run() == first
    assert ConfigurationVersion.current() == version
    assert APIKey.objects.count() == 1


def test_its_secrets_are_kept_where_only_the_owner_can_read_them(demo: Demo, kept: Path):
    demo.run()
    kept.chmod(0o644)
    demo.run()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text()) == {
        "admin_password": demo.password,
        "demo_password": demo.member_password,
        "api_key": demo.key,
    }


# When something has changed since ----------------------------------------------------------------------------------


def test_a_new_database_gets_new_secrets(demo: Demo):
    demo.run()
    old_key, old_password = demo.key, demo.password
    User.objects.all().delete()
    demo.run()
    assert demo.key != old_key
    assert demo.password != old_password
    assert User.objects.get(username="admin").check_password(demo.password)


def test_a_changed_password_is_not_printed_wrongly(demo: Demo):
    demo.run()
    old_password = demo.password
    admin = User.objects.get(username="admin")
    admin.set_password("a better one")
    admin.save()

    assert old_password not in demo.run()
    assert "user name admin, the password set since (python manage.py changepassword admin)" in demo.printed
    assert User.objects.get(username="admin").check_password("a better one")


@pytest.mark.parametrize("content", ["", "[]", '{"api_key": '])
def test_a_broken_file_is_as_good_as_none(demo: Demo, kept: Path, content: str):
    demo.run()
    old_key = demo.key
    kept.write_text(content)
    demo.run()
    assert demo.key != old_key
    assert "the password set since" in demo.printed


def test_a_revoked_key_is_replaced(demo: Demo):
    demo.run()
    old_key = demo.key
    APIKey.objects.get().revoke()
    demo.run()
    assert demo.key != old_key


def test_what_an_admin_edited_stays(demo: Demo):
    demo.run()
    apply("""
chains: [{name: demo, links: [demo/slow], public: false}]
tenants: [{name: demo, requests_per_minute: 3, users: [{username: demo, is_active: false}]}]
""")
    edited = export()
    demo.run()
    assert export() == edited


def test_what_is_missing_comes_back(demo: Demo):
    demo.run()
    before = export()
    ModelChain.objects.get(name="demo").delete()
    Model.objects.get(name="demo/cut").delete()
    demo.run()
    assert export() == before


def test_a_starter_catalogue_that_was_cut_down_stays_so(demo: Demo):
    demo.run()
    ChainLink.objects.filter(chain__name="default").exclude(model__provider__name="groq").delete()
    Provider.objects.filter(name__in=["openai", "anthropic"]).delete()
    before = export()
    demo.run()
    assert export() == before


# The catalogue -----------------------------------------------------------------------------------------------------


def test_migrating_gives_an_empty_database_the_starter_catalogue():
    starter_migration.add_starter_catalogue(apps, connection.schema_editor())

    assert apply(STARTER.read_text(), "--prune") == []
    default = ModelChain.objects.get()
    assert [link.model.provider.name for link in default.links.all()] == ["openai", "anthropic", "groq"]
    assert {provider.name: (provider.wire, provider.api_key_env) for provider in Provider.objects.all()} == {
        "openai": ("openai", "OPENAI_API_KEY"),
        "anthropic": ("litellm", "ANTHROPIC_API_KEY"),
        "groq": ("openai", "GROQ_API_KEY"),
    }


def test_migrating_leaves_a_catalogue_alone_that_is_there_already():
    apply("providers: [{name: ollama, kind: ollama, needs_key: false}]")
    starter_migration.add_starter_catalogue(apps, connection.schema_editor())
    assert [provider.name for provider in Provider.objects.all()] == ["ollama"]
    assert not ModelChain.objects.exists()


def test_the_prices_of_the_starter_models_are_known():
    package = importlib.util.find_spec("litellm")
    assert package is not None
    [folder] = package.submodule_search_locations or []
    table = json.loads((Path(folder) / "model_prices_and_context_window_backup.json").read_text())
    catalogue = yaml.safe_load(STARTER.read_text())
    for model in catalogue["models"]:
        name = model["upstream_name"]
        facts = table.get(f"{model['provider']}/{name}") or table[name]
        assert facts["litellm_provider"] == model["provider"]
        assert facts["input_cost_per_token"] > 0
        assert facts["mode"] == ("embedding" if "embedding" in name else "chat")


def test_every_demo_model_is_in_the_demo_data():
    names = {model["upstream_name"] for model in yaml.safe_load(DEMO.read_text())["models"]}
    assert names == demo_upstream.NAMES
