import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import ConfigurationVersion
from accounts.tests.admin_pages import act, make_operator, page, signed_in, text_of
from conftest import Catalogue
from proxy.models import Model, Provider
from proxy.tests.fake_provider import FakeProvider, text

SECRET = "sk-very-secret-4711"


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_operator())


@pytest.fixture
def openai(db: None) -> Provider:
    return Provider.objects.create(name="openai", kind="openai", api_key_env="TEST_OPENAI_KEY")


def save(client: Client, provider: Provider, **changes: str) -> str:
    fields = {
        "name": provider.name,
        "kind": provider.kind,
        "wire": provider.wire,
        "base_url": provider.base_url,
        "api_key_env": provider.api_key_env,
        "needs_key": "on",
        "is_active": "on",
    }
    url = page(Provider, "change", provider.pk)
    return text_of(client.post(url, {**fields, **changes}, follow=True))


def shown(client: Client, provider: Provider) -> str:
    return text_of(client.get(page(Provider, "change", provider.pk)))


def test_a_stored_key_is_used_and_never_shown(operator, openai):
    save(operator, openai, new_api_key=SECRET)
    openai.refresh_from_db()
    assert openai.api_key() == SECRET
    assert "a key is stored" in shown(operator, openai)
    assert SECRET not in shown(operator, openai)
    assert SECRET not in openai.sealed_api_key


def test_a_key_with_a_form_that_has_a_mistake_is_not_sent_back(operator, openai):
    shown_text = save(operator, openai, new_api_key=SECRET, name="")
    assert "This field is required" in shown_text
    assert SECRET not in shown_text


def test_saving_without_a_new_key_keeps_the_old_one(operator, openai):
    save(operator, openai, new_api_key=SECRET)
    save(operator, openai, kind="groq")
    openai.refresh_from_db()
    assert (openai.kind, openai.api_key()) == ("groq", SECRET)


def test_a_stored_key_can_be_removed(operator, openai):
    save(operator, openai, new_api_key=SECRET)
    save(operator, openai, remove_api_key="on")
    openai.refresh_from_db()
    assert openai.api_key() == ""


def test_removing_and_giving_a_key_at_once_is_refused(operator, openai):
    assert "Either remove the stored key" in save(operator, openai, new_api_key=SECRET, remove_api_key="on")


def test_the_page_says_where_the_key_comes_from(operator, openai, monkeypatch: pytest.MonkeyPatch):
    assert "TEST_OPENAI_KEY is not set" in shown(operator, openai)
    monkeypatch.setenv("TEST_OPENAI_KEY", "sk-env")
    assert "from TEST_OPENAI_KEY" in shown(operator, openai)
    assert "sk-env" not in shown(operator, openai)


def test_a_key_that_cannot_be_read_any_more_is_asked_for_again(operator, openai):
    Provider.objects.filter(pk=openai.pk).update(sealed_api_key="v1.00000000.AAAA")
    assert "unreadable: enter it again" in shown(operator, openai)


def test_a_provider_that_refused_our_credential_stands_out(operator, openai):
    openai.flag, openai.flagged_at = "It refuses the credential.", timezone.now()
    openai.save()
    assert "It refuses the credential." in text_of(operator.get(page(Provider, "changelist")))


def test_a_new_key_takes_the_flag_away(operator, openai):
    openai.flag, openai.flagged_at = "It refuses the credential.", timezone.now()
    openai.save()
    save(operator, openai, new_api_key=SECRET)
    openai.refresh_from_db()
    assert (openai.flag, openai.flagged_at) == ("", None)


def test_a_new_key_counts_as_a_change_of_configuration(operator, openai):
    before = ConfigurationVersion.current()
    save(operator, openai, new_api_key=SECRET)
    assert ConfigurationVersion.current() > before


def test_switching_a_provider_off_counts_as_a_change_of_configuration(operator, openai):
    before = ConfigurationVersion.current()
    act(operator, "switch_off", openai)
    openai.refresh_from_db()
    assert not openai.is_active
    assert ConfigurationVersion.current() > before


def test_a_new_provider_can_be_given_its_key_at_once(operator):
    fields = {"name": "new", "kind": "openai", "wire": "openai", "is_active": "on", "new_api_key": SECRET}
    operator.post(page(Provider, "add"), fields)
    assert Provider.objects.get(name="new").api_key() == SECRET


def test_testing_the_connection_asks_the_provider(
    transactional_db: None, operator, catalogue: Catalogue, provider: FakeProvider
):
    provider.on("one", text("pong"))
    model = catalogue.model("fake/one")
    url = page(Provider, "test_connection", model.provider.pk)
    assert "real call" in text_of(operator.get(url))
    page_text = text_of(operator.post(url, {"model": "fake/one", "prompt": "ping"}))
    assert "fake/one (fake) answered" in page_text
    assert "pong" in page_text
    assert provider.bodies("one")[0]["messages"] == [{"role": "user", "content": "ping"}]


def test_a_connection_that_fails_says_why(transactional_db: None, operator):
    dead = Provider.objects.create(name="dead", kind="openai", base_url="http://127.0.0.1:9/v1", needs_key=False)
    Model.objects.create(name="dead/one", provider=dead, upstream_name="one")
    url = page(Provider, "test_connection", dead.pk)
    assert "connect_failed" in text_of(operator.post(url, {"model": "dead/one", "prompt": "ping"}))


def test_only_the_providers_own_models_are_asked(operator, openai, catalogue: Catalogue, provider: FakeProvider):
    catalogue.model("fake/one")
    Model.objects.create(name="openai/one", provider=openai, upstream_name="one")
    url = page(Provider, "test_connection", openai.pk)
    operator.post(url, {"model": "fake/one", "prompt": "ping"})
    assert provider.received == []


def test_a_provider_without_models_says_what_to_do(operator, openai):
    assert "Add one first" in text_of(operator.get(page(Provider, "test_connection", openai.pk)))
