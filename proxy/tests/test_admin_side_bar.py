"""The admin's side bar: a number stands beside a page only where somebody should look."""

import re

import pytest
from django.test import Client

from accounts.tests.admin_pages import make_operator, signed_in, text_of
from proxy.models import DeadLetter, Provider


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_operator())


def numbers(client: Client) -> list[str]:
    return re.findall(r'<span class="[^"]*bg-red-100[^"]*">\s*([^<]*?)\s*</span>', text_of(client.get("/admin/")))


def test_there_is_no_number_while_all_is_well(operator):
    assert numbers(operator) == []


def test_flagged_providers_and_dead_letters_are_counted(operator):
    Provider.objects.create(name="openai", kind="openai", flag="It refuses the gateway's credential.")
    for number in range(2):
        DeadLetter.objects.create(stream_id=f"{number}-0", payload="{}", error="no status")
    assert numbers(operator) == ["1", "2"]
