"""Comparisons, votes and notes in the admin: all of the own tenant, nothing of another, and nothing to change."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.tests.admin_pages import act, make_operator, page, signed_in, text_of
from comparisons.models import Comparison, Note, Vote
from comparisons.tests.rows import make_comparison
from conftest import Cast

MODELS: list[type[Model]] = [Comparison, Vote, Note]


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_operator())


@pytest.fixture
def administrator(cast: Cast) -> Client:
    return signed_in(cast.bob.user)


def discussed(cast: Cast, member: str, **fields: Any) -> dict[type[Model], Any]:
    """A comparison of somebody with a vote and a note, in which their name can be read."""
    user = getattr(cast, member).user
    comparison = make_comparison(user, "fake/one", "fake/two", title=f"{member}'s question", **fields)
    return {
        Comparison: comparison,
        Vote: Vote.objects.cast(comparison, user, "slot", 1, note=f"{member}'s reason", blind=True),
        Note: Note.objects.write(comparison, user, f"{member}'s note"),
    }


def pages_of_one_row() -> Iterator[Any]:
    for model in MODELS:
        for pattern in admin.site.get_model_admin(model).get_urls():
            if pattern.name and pattern.pattern.converters:
                yield pytest.param(model, pattern.name, id=f"{model.__name__}-{pattern.name}")


def is_refused(response: Any) -> bool:
    return response.status_code in {403, 404} or (response.status_code == 302 and response["Location"] == "/admin/")


def test_an_id_that_no_database_can_hold_leads_nowhere(operator: Client):
    for model in MODELS:
        address = f"/admin/comparisons/{model._meta.model_name}/%00/change/"
        assert is_refused(operator.get(address))


@pytest.mark.parametrize(("model", "name"), list(pages_of_one_row()))
@pytest.mark.parametrize("method", ["get", "post"])
def test_no_page_of_another_tenants_row_opens(cast: Cast, administrator: Client, model, name, method):
    row = discussed(cast, "charlie")[model]
    assert is_refused(getattr(administrator, method)(reverse(f"admin:{name}", args=[row.pk]), {"post": "yes"}))
    assert model.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_lists_show_the_own_tenants_rows_alone(cast: Cast, administrator: Client, model):
    discussed(cast, "charlie")
    discussed(cast, "alice")
    text = text_of(administrator.get(page(model, "changelist")))
    assert "alice&#x27;s question" in text
    assert not [word for word in ("charlie", "globex") if word in text]
    searched = text_of(administrator.get(page(model, "changelist"), {"q": "charlie"}))
    assert "charlie&#x27;s" not in searched


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_an_operator_sees_all_tenants_and_can_choose_one(cast: Cast, operator: Client, model):
    discussed(cast, "charlie")
    discussed(cast, "alice")
    text = text_of(operator.get(page(model, "changelist")))
    assert "alice&#x27;s question" in text
    assert "charlie&#x27;s question" in text
    chosen = text_of(operator.get(page(model, "changelist"), {"tenant": cast.globex.pk}))
    assert "charlie&#x27;s question" in chosen
    assert "alice&#x27;s question" not in chosen


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_nobody_adds_changes_or_deletes(cast: Cast, operator: Client, model):
    row = discussed(cast, "alice")[model]
    assert operator.get(page(model, "add")).status_code == 403
    assert operator.post(page(model, "change", row.pk), {"title": "x"}).status_code == 403
    assert operator.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    act(operator, "delete_selected", row, post="yes")
    assert model.objects.filter(pk=row.pk).exists()
    request = RequestFactory().get("/")
    request.user = cast.bob.user
    site = admin.site.get_model_admin(model)
    assert site.has_view_permission(request, row)
    assert not any(may(request, row) for may in (site.has_change_permission, site.has_delete_permission))


def test_the_page_of_a_comparison_shows_answers_votes_and_notes(cast: Cast, administrator: Client):
    rows = discussed(cast, "alice", tags=("sky",))
    text = text_of(administrator.get(page(Comparison, "change", rows[Comparison].pk)))
    for shown in (
        "fake/one",
        "Because of answer number 1.",
        "$0.002000",
        "alice&#x27;s reason",
        "alice&#x27;s note",
        "sky",
    ):
        assert shown in text
    assert f'href="/comparisons/{rows[Comparison].pk}"' in text
    assert "globex" not in text


def test_a_vote_names_the_model_that_won(cast: Cast, administrator: Client):
    rows = discussed(cast, "alice")
    for url in (page(Vote, "changelist"), page(Vote, "change", rows[Vote].pk)):
        assert "B: fake/two" in text_of(administrator.get(url))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=SKY+why", {"partial", "complete"}),
        ("q=partial", {"partial"}),
        ("status__exact=partial", {"partial"}),
        ("source__exact=playground", {"complete"}),
        ("created_at_from=2026-03-02", {"complete"}),
        ("created_at_to=2026-03-01", {"partial"}),
        ("q=nothing+like+it", set()),
        ("q=%00", {"partial", "complete"}),
    ],
)
def test_filters_and_search_find_comparisons(cast: Cast, operator: Client, query: str, found: set[str]):
    first, second = datetime(2026, 3, 1, 23, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
    make_comparison(cast.alice.user, "a/one", "b/two", "c/three", failed=(1,), title="partial", created_at=first)
    make_comparison(cast.alice.user, "a/one", "b/two", title="complete", created_at=second, source="playground")
    response = operator.get(f"{page(Comparison, 'changelist')}?{query}")
    assert {row.title for row in response.context["cl"].result_list} == found


def test_a_comparison_is_found_by_its_id(cast: Cast, operator: Client):
    wanted, _other = (make_comparison(cast.alice.user, "a/one", "b/two") for _ in range(2))
    response = operator.get(page(Comparison, "changelist"), {"q": wanted.pk})
    assert list(response.context["cl"].result_list) == [wanted]


def walk(client: Client, url: str, link: str) -> Iterator[Any]:
    """The rows of one page after the other, by the links between them."""
    address = url
    while address:
        response = client.get(f"{url}{address}" if address.startswith("?") else address)
        yield response.context["cl"].result_list
        address = getattr(response.context["cl"], f"{link}_url")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_pages_lead_to_the_end_and_back(cast: Cast, operator: Client, model, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(type(admin.site.get_model_admin(model)), "list_per_page", 2)
    for _ in range(5):
        discussed(cast, "alice")
    newest_first = list(model.objects.order_by("-pk").values_list("pk", flat=True))
    pages = list(walk(operator, page(model, "changelist"), "older"))
    assert [[row.pk for row in rows] for rows in pages] == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    last = f"{page(model, 'changelist')}?p=newer-{newest_first[-1]}"
    back = [row.pk for rows in walk(operator, last, "newer") for row in rows]
    assert set(back) == set(newest_first[:-1])


@pytest.mark.parametrize(
    "place", ["older-", "newer-x", "older-%00", "older-99999999999999999999999999", "sideways-1", "older-1'--"]
)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_place_that_no_page_wrote_is_no_error(cast: Cast, operator: Client, model, place: str):
    discussed(cast, "alice")
    assert operator.get(f"{page(model, 'changelist')}?p={place}").status_code == 200


def test_what_models_and_people_write_is_escaped(cast: Cast, operator: Client):
    rows = discussed(cast, "alice")
    comparison = rows[Comparison]
    Comparison.objects.filter(pk=comparison.pk).update(title="<script>alert(1)</script>")
    comparison.answers.update(content="<script>alert(2)</script>", requested_model="<script>alert(3)</script>")
    comparison.votes.update(note="<script>alert(4)</script>")
    comparison.notes.update(text="<script>alert(5)</script>")
    addresses = [page(model, "changelist") for model in MODELS]
    addresses += [page(model, "change", rows[model].pk) for model in MODELS]
    for address in addresses:
        assert not re.search(r"<script>alert\(\d\)", text_of(operator.get(address)))


def test_the_side_bar_leads_to_the_lists(administrator: Client):
    text = text_of(administrator.get("/admin/"))
    for model in MODELS:
        assert f'href="{page(model, "changelist")}"' in text


def test_the_list_asks_the_database_a_few_times_however_many_rows_it_shows(
    cast: Cast, operator: Client, django_assert_max_num_queries
):
    for number in range(10):
        discussed(cast, "alice", created_at=datetime.now(UTC) - timedelta(days=number))
    for model in MODELS:
        with django_assert_max_num_queries(12):
            operator.get(page(model, "changelist"))
