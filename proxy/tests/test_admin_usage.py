import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext

from accounts.tests.admin_pages import make_operator, page, signed_in
from conftest import Cast, Catalogue
from proxy.admin.keyset import Place
from proxy.models import Usage
from proxy.tests.admin_rows import make_usage

LEDGER = "/admin/proxy/usage/"
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_operator())


def shown(client: Client, query: str = "") -> list[str]:
    """The request ids of a page of the list, from top to bottom."""
    response = client.get(f"{LEDGER}?{query}" if "?" not in query else f"{LEDGER}{query}")
    assert response.status_code == 200
    return [row.request_id for row in response.context["cl"].result_list]


def fill(cast: Cast, count: int) -> list[str]:
    """Requests a minute apart, of which some came in the same moment; newest first."""
    ids = [f"req_{number:04}" for number in range(count)]
    for number, request_id in enumerate(ids):
        make_usage(cast.alice, request_id, NOON + timedelta(minutes=number // 3))
    return ids[::-1]


def test_the_pages_lead_through_all_rows_and_back(operator, cast: Cast):
    expected = fill(cast, 120)
    pages, query = [], ""
    while True:
        response = operator.get(f"{LEDGER}{query}")
        pages.append([row.request_id for row in response.context["cl"].result_list])
        if not response.context["cl"].older_url:
            break
        query = response.context["cl"].older_url
    assert [len(rows) for rows in pages] == [50, 50, 20]
    assert [request_id for rows in pages for request_id in rows] == expected
    newer = response.context["cl"].newer_url
    assert shown(operator, newer) == pages[1]
    first = operator.get(f"{LEDGER}{operator.get(LEDGER + newer).context['cl'].newer_url}").context["cl"]
    assert ([row.request_id for row in first.result_list], first.newer_url) == (pages[0], "")


def test_rows_that_arrive_meanwhile_do_not_shift_the_pages(operator, cast: Cast):
    expected = fill(cast, 60)
    older = operator.get(LEDGER).context["cl"].older_url
    make_usage(cast.alice, "req_late")
    assert shown(operator, older) == expected[50:]


@pytest.mark.parametrize(
    "place", ["older-x", "newer-", "sideways-1-1", "older-1-99999999999999999999", "7", "older-1-1-1"]
)
def test_a_place_that_nobody_wrote_is_the_first_page(operator, cast: Cast, place):
    make_usage(cast.alice, "req_1")
    assert shown(operator, f"p={place}") == ["req_1"]


def test_a_place_survives_being_written_into_an_address():
    place = Place(datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC), 4711)
    assert Place.parse(str(place)) == place


def test_nothing_is_counted(operator, cast: Cast):
    fill(cast, 3)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        operator.get(f"{LEDGER}?status__exact=ok&_facets=1")
    assert not [query["sql"] for query in queries if "COUNT(" in query["sql"] and "proxy_usage" in query["sql"]]


def test_the_ledger_cannot_be_written(operator, cast: Cast):
    row = make_usage(cast.alice, "req_1")
    assert operator.get(page(Usage, "add")).status_code == 403
    assert operator.post(page(Usage, "delete", row.pk), {"post": "yes"}).status_code == 403
    operator.post(page(Usage, "change", row.pk), {"cost_microusd": "0"})
    row.refresh_from_db()
    assert row.cost_microusd == 1230


@pytest.fixture
def varied(cast: Cast, catalogue: Catalogue) -> Cast:
    catalogue.chain("default", catalogue.model("fake/two"))
    catalogue.chain("rare")
    make_usage(cast.alice, "req_plain", NOON)
    make_usage(cast.alice, "req_failed", NOON, status="failed", served_model="", provider="")
    make_usage(cast.charlie, "req_charlie", NOON)
    make_usage(cast.alice, "req_rare", NOON, chain="rare", served_model="other/model", provider="other")
    make_usage(cast.alice, "req_early", NOON - timedelta(days=2))
    return cast


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status__exact=failed", {"req_failed"}),
        ("chain=rare", {"req_rare"}),
        ("chain=unheard-of", set()),
        ("provider=fake", {"req_plain", "req_charlie", "req_early"}),
        ("created_at_to=2026-11-18", {"req_early"}),
        ("created_at_from=2026-11-18&created_at_to=2026-11-18", {"req_early"}),
        ("created_at_from=2026-11-19&chain=rare", {"req_rare"}),
        ("created_at_from=2026-02-31&chain=rare", {"req_rare"}),
        ("q=req_plain", {"req_plain"}),
        ("q=req_pla", set()),
        ("q=char", {"req_charlie"}),
        ("q=rare", {"req_rare"}),
        ("q=other/model", {"req_rare"}),
        ("q=nobody", set()),
    ],
)
def test_filters_and_search(operator, varied: Cast, query, found):
    assert set(shown(operator, query)) == found


def test_the_filter_by_tenant(operator, varied: Cast):
    assert shown(operator, f"tenant={varied.globex.pk}") == ["req_charlie"]


def test_a_search_that_finds_much_goes_on_paging(operator, varied: Cast, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("proxy.admin.usage.FEW", 1)
    assert set(shown(operator, "q=alice")) == {"req_plain", "req_failed", "req_rare", "req_early"}


def test_a_tenant_administrator_sees_the_own_tenants_rows_and_no_other_filter(varied: Cast):
    client = signed_in(varied.bob.user)
    assert "req_charlie" not in shown(client)
    assert client.get(f"{LEDGER}?tenant={varied.globex.pk}").status_code == 400


def exported(client: AsyncClient, query: str = "") -> list[dict[str, str]]:
    """The rows of the downloaded file. What it is made of runs in this thread, but for the ledger's batches."""
    text = async_to_sync(download)(client, query)
    return list(csv.DictReader(io.StringIO(text)))


async def download(client: AsyncClient, query: str) -> str:
    response: Any = await client.get(f"{LEDGER}export/{query}")
    assert response.status_code == 200
    assert "attachment" in response["Content-Disposition"]
    return b"".join([part async for part in response.streaming_content]).decode()


@pytest.fixture
def reader(transactional_db: None) -> AsyncClient:
    client = AsyncClient()
    client.force_login(make_operator())
    return client


def test_the_export_holds_every_row_of_every_page(reader: AsyncClient, transactional_db: None, cast: Cast, monkeypatch):
    monkeypatch.setattr("proxy.admin.export.BATCH", 7)
    expected = fill(cast, 60)
    assert [row["request_id"] for row in exported(reader)] == expected


def test_the_export_follows_the_filters(reader: AsyncClient, transactional_db: None, varied: Cast):
    assert [row["request_id"] for row in exported(reader, "?chain=rare")] == ["req_rare"]


def test_the_export_tells_money_and_time_exactly(reader: AsyncClient, transactional_db: None, varied: Cast):
    (row,) = exported(reader, "?q=req_plain")
    assert (row["created_at"], row["cost_usd"], row["attempts"]) == ("2026-11-20T12:00:00.000+00:00", "0.001230", "2")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_no_cell_is_taken_for_a_formula(reader: AsyncClient, transactional_db: None, cast: Cast, text):
    make_usage(cast.alice, "req_1", key_name=text, tags=[text])
    (row,) = exported(reader)
    assert row["key_name"] == f"'{text}"
    assert row["tags"] == f"'{text}"


def test_the_export_of_a_tenant_administrator_holds_the_own_tenants_rows(transactional_db: None, varied: Cast):
    client = AsyncClient()
    client.force_login(varied.bob.user)
    assert {row["tenant_name"] for row in exported(client)} == {"acme"}


def test_an_export_with_a_filter_that_does_not_exist_is_refused(reader: AsyncClient, transactional_db: None):
    response = async_to_sync(reader.get)(f"{LEDGER}export/?nonsense=1")
    assert response.status_code in {400, 404}
