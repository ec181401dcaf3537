from collections.abc import Sequence
from typing import Any

import pytest
from django.test import Client

from accounts.models import ConfigurationVersion
from accounts.tests.admin_pages import make_operator, page, signed_in, text_of
from conftest import Cast, Catalogue
from proxy.models import Model, ModelChain

FIELDS = {
    "is_active": "on",
    "stream_guard": "live",
    "deadline_s": "120",
    "default_max_tokens": "4096",
    "cache_ttl_s": "300",
}


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_operator())


@pytest.fixture
def chain(catalogue: Catalogue) -> ModelChain:
    return catalogue.chain("trusty", *(catalogue.model(f"fake/{name}") for name in ("one", "two", "three")))


def form_of(chain: ModelChain, *order: str, added: Sequence[Model] = ()) -> dict[str, Any]:
    """What the browser sends after the links were dragged into this order, and new ones were added below."""
    links = {link.model.name: link for link in chain.links.select_related("model")}
    rows = [(link, order.index(name)) for name, link in links.items()]
    data: dict[str, Any] = {
        "name": chain.name,
        **FIELDS,
        "links-TOTAL_FORMS": len(rows) + len(added),
        "links-INITIAL_FORMS": len(rows),
    }
    timeouts = {"connect_timeout_s": 5, "first_token_timeout_s": 60, "stall_timeout_s": 60, "retry_after_max_s": 0}
    for number, (link, position) in enumerate(rows):
        fields = {"id": link.pk, "chain": chain.pk, "model": link.model_id, "position": position, **timeouts}
        data |= {f"links-{number}-{name}": value for name, value in fields.items()}
    for number, new in enumerate(added, len(rows)):
        fields = {"chain": chain.pk, "model": new.pk, "position": 9999, **timeouts}
        data |= {f"links-{number}-{name}": value for name, value in fields.items()}
    return data


def order_of(chain: ModelChain) -> list[tuple[int, str]]:
    return list(chain.links.values_list("position", "model__name"))


def test_dragged_links_change_the_order(operator, chain):
    operator.post(page(ModelChain, "change", chain.pk), form_of(chain, "fake/three", "fake/one", "fake/two"))
    assert order_of(chain) == [(0, "fake/three"), (1, "fake/one"), (2, "fake/two")]


def test_a_new_link_is_tried_last(operator, chain, catalogue: Catalogue):
    new = catalogue.model("fake/four")
    data = form_of(chain, "fake/one", "fake/two", "fake/three", added=[new])
    operator.post(page(ModelChain, "change", chain.pk), data)
    assert order_of(chain)[-1] == (3, "fake/four")


def test_the_form_puts_a_new_link_behind_all_others(operator, chain):
    text = text_of(operator.get(page(ModelChain, "change", chain.pk)))
    assert 'name="links-__prefix__-position" value="9999"' in text


def test_a_removed_link_closes_the_gap(operator, chain):
    data = {**form_of(chain, "fake/one", "fake/two", "fake/three"), "links-0-DELETE": "on"}
    operator.post(page(ModelChain, "change", chain.pk), data)
    assert order_of(chain) == [(0, "fake/two"), (1, "fake/three")]


@pytest.mark.parametrize("changes", [{"deadline_s": "9"}, {"links-1-connect_timeout_s": "9"}, {"links-0-DELETE": "on"}])
def test_every_change_of_a_chain_counts_as_a_change_of_configuration(operator, chain, changes):
    before = ConfigurationVersion.current()
    data = {**form_of(chain, "fake/one", "fake/two", "fake/three"), **changes}
    operator.post(page(ModelChain, "change", chain.pk), data)
    assert ConfigurationVersion.current() > before


def test_reordering_alone_counts_as_a_change_of_configuration(operator, chain):
    before = ConfigurationVersion.current()
    operator.post(page(ModelChain, "change", chain.pk), form_of(chain, "fake/two", "fake/one", "fake/three"))
    assert ConfigurationVersion.current() > before


def test_offering_a_chain_to_a_tenant_counts_as_a_change_of_configuration(operator, chain, cast: Cast):
    data = form_of(chain, "fake/one", "fake/two", "fake/three")
    operator.post(page(ModelChain, "change", chain.pk), data)
    before = ConfigurationVersion.current()
    operator.post(page(ModelChain, "change", chain.pk), {**data, "tenants": [cast.acme.pk]})
    assert list(chain.tenants.all()) == [cast.acme]
    assert ConfigurationVersion.current() > before


def test_the_list_shows_the_order(operator, chain):
    text = text_of(operator.get(page(ModelChain, "changelist")))
    places = [text.index(f"fake/{name}<") for name in ("one", "two", "three")]
    assert places == sorted(places)


def test_a_chain_without_links_stands_out(operator, catalogue: Catalogue):
    catalogue.chain("empty")
    assert "no links" in text_of(operator.get(page(ModelChain, "changelist")))


def test_a_chains_page_shows_calls_to_paste(operator, chain):
    text = text_of(operator.get(page(ModelChain, "change", chain.pk)))
    assert "http://testserver/v1/chat/completions" in text
    assert "model=&quot;trusty&quot;" in text


def test_trying_a_chain_shows_every_attempt_and_the_answer(transactional_db: None, operator, catalogue: Catalogue):
    chain = catalogue.chain("demo", catalogue.demo("down"), catalogue.demo("echo"))
    text = text_of(operator.post(page(ModelChain, "try_it", chain.pk), {"model": "demo", "prompt": "Parrot this."}))
    assert "connect_failed" in text
    assert "demo/echo (demo) answered" in text
    assert "Parrot this.</p>" in text
    assert "/admin/proxy/usage/explain/?request_id=req_" in text
    assert "/playground/?models=demo&amp;prompt=Parrot+this." in text


def test_a_chain_that_fails_says_why(transactional_db: None, operator, catalogue: Catalogue):
    chain = catalogue.chain("demo", catalogue.demo("down"))
    text = text_of(operator.post(page(ModelChain, "try_it", chain.pk), {"model": "demo", "prompt": "Hello?"}))
    assert "No model answered" in text
    assert "connect_failed" in text


def test_another_chain_cannot_be_asked_from_this_ones_page(operator, chain, catalogue: Catalogue):
    catalogue.chain("other")
    text = text_of(operator.post(page(ModelChain, "try_it", chain.pk), {"model": "other", "prompt": "Hello?"}))
    assert "answered" not in text


def test_looking_at_the_page_asks_nobody(operator, chain, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("proxy.admin.trials.trial", lambda *args, **kwargs: pytest.fail("a model was asked"))
    assert operator.get(page(ModelChain, "try_it", chain.pk)).status_code == 200


def test_an_answer_that_never_comes_is_an_error_on_the_page(operator, chain, monkeypatch: pytest.MonkeyPatch):
    def wait(*args: Any, **kwargs: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr("proxy.admin.trials.trial", wait)
    text = text_of(operator.post(page(ModelChain, "try_it", chain.pk), {"model": "trusty", "prompt": "Hello?"}))
    assert "No answer within five minutes" in text
