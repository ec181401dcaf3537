"""`manage.py reconcile`: the books agree, or it says whose do not."""

import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.callers import tenant_budget
from accounts.models import MonthlyTally, Tenant
from accounts.redis import sync_client
from conftest import Cast, Catalogue, LiveGateway, wait_until
from proxy.management.commands import reconcile
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, text
from proxy.usage.drain import drain

Recorded = Callable[..., list[Usage]]


def run() -> str:
    out = io.StringIO()
    call_command("reconcile", stdout=out)
    return out.getvalue()


@pytest.fixture(autouse=True)
def _three_calls(
    gateway: LiveGateway,
    cast: Cast,
    catalogue: Catalogue,
    provider: FakeProvider,
    recorded: Recorded,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconcile, "PAUSE_S", 0.0)
    catalogue.model("fake/one")
    provider.on("one", text("Hello"))
    for number, member in enumerate((cast.alice, cast.bob, cast.charlie)):
        body = {"model": "fake/one", "messages": [{"role": "user", "content": str(number)}]}
        httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=member.headers).raise_for_status()
    recorded(3)


def test_the_books_agree_after_all_is_recorded():
    assert run().startswith("No difference")


def test_what_waits_in_the_stream_is_no_difference(gateway: LiveGateway, cast: Cast):
    body = {"model": "fake/one", "messages": [{"role": "user", "content": "another"}]}
    httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=cast.alice.headers).raise_for_status()
    assert run().startswith("No difference")


@pytest.mark.parametrize("book", ["counter", "rows", "tally"])
def test_a_difference_is_named(book: str, cast: Cast, capsys: pytest.CaptureFixture[str]):
    month = timezone.now().strftime("%Y-%m")
    if book == "counter":
        sync_client().hincrby(tenant_budget(cast.acme).counter(month), "spent", 5)
    elif book == "rows":
        Usage.objects.filter(username="charlie").delete()
    else:
        MonthlyTally.objects.filter(scope="tenant", subject=str(cast.acme.pk)).update(prompt_tokens=0)
    with pytest.raises(CommandError, match="difference"):
        call_command("reconcile")
    subject = cast.globex if book == "rows" else cast.acme
    assert f"tenant {subject.pk}, {month}: counter" in capsys.readouterr().out


def test_what_callers_without_a_credential_used_is_no_difference(gateway: LiveGateway, catalogue: Catalogue):
    catalogue.chain("default", catalogue.demo("echo"), public=True)
    body = {"model": "default", "messages": [{"role": "user", "content": "Hi"}]}
    httpx.post(f"{gateway.url}/v1/chat/completions", json=body).raise_for_status()
    wait_until(lambda: drain() + MonthlyTally.objects.filter(scope="ip").count() > 0, "a tally of the address")
    assert run().startswith("No difference")


def test_a_difference_comes_with_advice():
    MonthlyTally.objects.all().delete()
    with pytest.raises(CommandError, match="--rebuild sets"):
        run()


@pytest.fixture
def _counters_are_elsewhere(settings: Any) -> None:
    """As in a process beside the embedded server, whose Redis is in its memory."""
    settings.EMBEDDED = True
    sync_client().flushdb()


@pytest.mark.usefixtures("_counters_are_elsewhere")
def test_beside_the_embedded_server_rows_and_tallies_are_compared():
    said = run()
    assert said.startswith("No difference")
    assert "in the server's memory" in said
    with pytest.raises(CommandError, match="Restart the server"):
        call_command("reconcile", rebuild=True)
    MonthlyTally.objects.filter(scope="user").update(prompt_tokens=0)
    with pytest.raises(CommandError, match="in the server's memory"):
        run()


def test_it_sets_wrong_counters_right():
    counter = tenant_budget(Tenant.objects.get(name="acme")).counter(timezone.now().strftime("%Y-%m"))
    sync_client().hincrby(counter, "spent", 500)
    with pytest.raises(CommandError, match=r"1 difference in"):
        run()
    call_command("reconcile", rebuild=True, stdout=io.StringIO())
    assert "No difference" in run()
