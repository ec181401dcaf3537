import re

import pytest
from django.test import Client

from accounts.tests.admin_pages import make_operator, page, signed_in, text_of
from conftest import Cast
from proxy.models import DeadLetter, Usage
from proxy.tests.admin_rows import make_usage

EXPLAIN = "/admin/proxy/usage/explain/"


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_operator())


def explained(client: Client, request_id: str) -> str:
    """The page's words, as somebody reads them."""
    text = text_of(client.get(EXPLAIN, {"request_id": request_id}))
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def test_a_request_is_explained_from_caller_to_cost(operator, cast: Cast):
    make_usage(cast.alice, "req_1")
    text = explained(operator, " req_1 ")
    for words in (
        "Tenant acme",
        "User alice",
        "alice&#x27;s key",
        "Asked for default",
        "Answered by fake/two (fake)",
        "1,200 (1,000 cached)",
        "Reported by the provider",
        "$0.15 in, $0.6 out, per million tokens",
        "$0.001230",
        "246 ms",
        "1,357 ms",
        "nightly",
    ):
        assert words in text


def test_every_attempt_is_listed(operator, cast: Cast):
    make_usage(cast.alice, "req_1")
    text = explained(operator, "req_1")
    assert "1 fake/one fake rate_limit_exceeded 429 12 ms Slow down." in text
    assert "2 fake/two fake answered 200 345 ms" in text


def test_the_checks_are_told_with_todays_limits(operator, cast: Cast):
    cast.acme.monthly_token_budget, cast.acme.requests_per_minute = 1_000_000, 600
    cast.acme.save()
    cast.alice.key_row.allowed_models = ["default"]
    cast.alice.key_row.save()
    make_usage(cast.alice, "req_1")
    text = explained(operator, "req_1")
    assert "the key is limited to default" in text
    assert "Tokens per month tenant 1,000,000" in text
    assert "Requests per minute tenant 600" in text


def test_a_key_that_was_revoked_since_is_told(operator, cast: Cast):
    make_usage(cast.alice, "req_1")
    cast.alice.key_row.revoke()
    assert "was valid; revoked since" in explained(operator, "req_1")


def test_a_row_outlives_what_it_names(operator, cast: Cast):
    make_usage(cast.alice, "req_1")
    cast.alice.user.delete()
    text = explained(operator, "req_1")
    assert "User alice" in text
    assert "alice&#x27;s key" in text


def test_a_request_with_a_token_has_no_key(operator, cast: Cast):
    make_usage(cast.alice, "req_1", key_id=None, key_name="")
    assert "Credential a sign-in, no API key" in explained(operator, "req_1")


def test_a_request_without_a_credential_is_not_called_signed_in(operator, cast: Cast):
    make_usage(cast.alice, "req_1", tenant_id=None, user_id=None, username="anonymous", key_id=None, key_name="")
    assert "Credential none" in explained(operator, "req_1")


def test_an_operators_trial_is_called_signed_in(operator, cast: Cast):
    make_usage(cast.alice, "req_1", tenant_id=None, key_id=None, key_name="")
    assert "Credential a sign-in, no API key" in explained(operator, "req_1")


def test_a_request_that_nobody_answered(operator, cast: Cast):
    make_usage(cast.alice, "req_1", status="failed", served_model="", error_code="timeout", input_price_per_mtok=None)
    text = explained(operator, "req_1")
    assert "Every model failed" in text
    assert "Answered by nobody" in text
    assert "Error timeout" in text


def test_the_ledgers_rows_open_the_explanation(operator, cast: Cast):
    row = make_usage(cast.alice, "req_1")
    assert "Slow down." in text_of(operator.get(page(Usage, "change", row.pk)))


@pytest.mark.parametrize("request_id", ["req_unknown", "'; DROP TABLE", "req_\0", "x" * 5000])
def test_an_unknown_id_gets_advice(operator, request_id):
    text = explained(operator, request_id)
    assert "no record of this request" in text
    assert "within about two seconds" in text


def test_without_an_id_the_page_says_what_to_paste(operator):
    assert "Paste the x-request-id" in text_of(operator.get(EXPLAIN))


def test_a_request_whose_record_was_refused_leads_to_it(operator, cast: Cast):
    letter = DeadLetter.objects.create(stream_id="1-0", payload='{"request_id":"req_dead"}', error="bad status")
    assert page(DeadLetter, "change", letter.pk) in text_of(operator.get(EXPLAIN, {"request_id": "req_dead"}))
    assert "bad status" not in explained(signed_in(cast.bob.user), "req_dead")


def test_what_an_attempt_says_is_shown_as_text(operator, cast: Cast):
    attempt = {"model": "<b>m</b>", "provider": "p", "status": 500, "code": "c", "ms": 1}
    make_usage(cast.alice, "req_1", attempts=[{**attempt, "message": "<script>x</script>"}])
    text = text_of(operator.get(EXPLAIN, {"request_id": "req_1"}))
    assert "<script>x" not in text
    assert "<b>m" not in text
