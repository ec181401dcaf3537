import pytest
from django.test import Client

from accounts.tests.admin_pages import make_operator, page, signed_in, text_of
from proxy.models import Model, Provider


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_operator())


@pytest.fixture
def mini(db: None) -> Model:
    provider = Provider.objects.create(name="openai", kind="openai")
    return Model.objects.create(name="openai/gpt-4o-mini", provider=provider, upstream_name="gpt-4o-mini")


def listed(client: Client) -> str:
    return text_of(client.get(page(Model, "changelist")))


def test_what_is_not_filled_in_comes_from_litellms_table(operator, mini):
    text = listed(operator)
    assert "0.15 / 0.6" in text
    assert "128,000 / 16,384" in text
    assert "litellm&#x27;s table" in text


def test_what_is_filled_in_wins(operator, mini):
    Model.objects.update(
        input_price_per_mtok="7.5", output_price_per_mtok="9", context_window=1000, max_output_tokens=10
    )
    text = listed(operator)
    assert "7.5 / 9" in text
    assert "1,000 / 10" in text
    assert "litellm&#x27;s table" not in text


def test_a_model_that_nobody_knows_asks_to_be_filled_in(operator, mini):
    Model.objects.update(upstream_name="home-made")
    assert "unknown: fill it in" in listed(operator)


def test_a_model_of_a_provider_that_is_off_is_not_called_active(operator, mini):
    Provider.objects.update(is_active=False)
    assert "provider is off" in listed(operator)
