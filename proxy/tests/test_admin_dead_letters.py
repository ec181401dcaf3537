import json
import re

import pytest
from django.test import Client

from accounts.tests.admin_pages import act, make_operator, page, signed_in, text_of
from proxy.models import DeadLetter, Usage
from proxy.tests.usage_events import event


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_operator())


def letter(stream_id: str, **fields: object) -> DeadLetter:
    payload = json.dumps(event(**fields))
    return DeadLetter.objects.create(stream_id=stream_id, payload=payload, error="the disk was full")


def test_a_letter_that_is_accepted_now_becomes_a_row(operator):
    row = letter("1-0", request_id="req_1")
    assert "1 event is recorded now" in text_of(act(operator, "try_again", row))
    assert Usage.objects.get().request_id == "req_1"
    assert not DeadLetter.objects.exists()


def test_a_letter_that_is_still_refused_stays(operator):
    row = letter("1-0", prompt_tokens=-1)
    assert "1 is still refused" in text_of(act(operator, "try_again", row))
    assert DeadLetter.objects.exists()


def test_only_the_chosen_letters_are_tried(operator):
    letter("1-0", request_id="req_1")
    act(operator, "try_again", letter("2-0", request_id="req_2"))
    assert Usage.objects.get().request_id == "req_2"
    assert DeadLetter.objects.get().stream_id == "1-0"


def test_the_side_bar_counts_the_letters(operator):
    letter("1-0")
    letter("2-0")
    side_bar = text_of(operator.get("/admin/")).split("Dead letters", 1)[1]
    assert re.sub(r"<[^>]+>", " ", side_bar).split()[0] == "2"


def test_a_letter_is_read_only(operator):
    row = letter("1-0")
    assert operator.get(page(DeadLetter, "add")).status_code == 403
    assert operator.post(page(DeadLetter, "change", row.pk), {"payload": "{}"}).status_code == 403
    assert operator.post(page(DeadLetter, "delete", row.pk), {"post": "yes"}).status_code == 403
