"""Of several events of one request one counts: the first, or the one that knows better than a supposed crash."""

import pytest

from accounts.limits import counter_name
from accounts.models import MonthlyTally
from accounts.tests.ledgers import counted
from proxy.models import Usage
from proxy.tests.usage_events import append, append_counted, event, request_ids
from proxy.usage.drain import drain, lag

pytestmark = pytest.mark.django_db


def test_a_request_that_is_reported_twice_keeps_its_first_row():
    first = event(prompt_tokens=1)
    again = {**first, "prompt_tokens": 2}
    append(first, again)
    assert drain() == 1
    append(again, event())
    assert drain() == 1
    assert Usage.objects.get(request_id=first["request_id"]).prompt_tokens == 1
    assert lag() == 0


def test_an_event_that_came_before_is_taken_out_of_the_counters_again():
    counter = counter_name("user", "1", "2026-11")
    once = event(prompt_tokens=30, completion_tokens=12)
    for _ in range(2):
        append_counted(once, 42, counter)
        drain()
    assert request_ids() == [once["request_id"]]
    assert counted(counter) == (42, 0)


def test_an_event_that_stands_twice_in_one_batch_counts_once():
    counter = counter_name("user", "1", "2026-11")
    once = event(prompt_tokens=30, completion_tokens=12)
    append_counted(once, 42, counter)
    append_counted(once, 42, counter)
    assert drain() == 1
    assert counted(counter) == (42, 0)


@pytest.mark.parametrize("together", [True, False])
def test_a_request_that_only_seemed_to_have_crashed_is_corrected(*, together: bool):
    counter = counter_name("user", "7", "2026-11")
    late = event(status="ok", user_id=7, prompt_tokens=30, completion_tokens=12)
    append_counted({**late, "status": "crashed", "completion_tokens": 0}, 30, counter)
    if not together:
        drain()
    append_counted(late, 12, counter)
    drain()
    row, tally = Usage.objects.get(), MonthlyTally.objects.get(scope="user", subject="7")
    assert (row.status, row.total_tokens) == ("ok", 42)
    assert (tally.requests, tally.tokens) == (1, 42)
    assert counted(counter) == (42, 0)


def test_a_request_that_used_less_than_its_crash_was_billed_is_corrected():
    counter = counter_name("user", "7", "2026-11")
    late = event(status="ok", user_id=7, prompt_tokens=5, completion_tokens=2)
    append_counted({**late, "status": "crashed", "prompt_tokens": 30, "completion_tokens": 12}, 42, counter)
    drain()
    append_counted(late, -35, counter)
    drain()
    assert Usage.objects.get().total_tokens == 7
    assert MonthlyTally.objects.get(scope="user", subject="7").tokens == 7
    assert counted(counter) == (7, 0)


def test_a_correction_moves_every_sum_of_its_own_tallies_and_no_other():
    counter = counter_name("ip", "10.0.0.1", "2026-11")
    sums = {"prompt_tokens": 30, "completion_tokens": 12, "cached_tokens": 9, "cost_microusd": 800}
    late = event(tenant_id=None, user_id=7, **sums)
    crashed = {name: value - 5 for name, value in sums.items()}
    append_counted({**late, **crashed, "status": "crashed"}, 32, counter)
    append(event(user_id=7, month="2026-10", **sums), event(tenant_id=7, user_id=None, month="2026-11", **sums))
    drain()
    append_counted(late, 10, counter)
    assert drain() == 1
    fields = ("scope", "subject", "month", "requests", *sums)
    assert set(MonthlyTally.objects.values_list(*fields)) == {
        (scope, subject, month, 1, *sums.values())
        for scope, subject, month in [
            ("ip", "10.0.0.1", "2026-11"),
            ("user", "7", "2026-11"),
            ("user", "7", "2026-10"),
            ("tenant", "1", "2026-10"),
            ("tenant", "7", "2026-11"),
        ]
    }
    assert counted(counter) == (42, 0)


def test_a_correction_whose_tally_is_gone_blocks_nothing():
    counter = counter_name("ip", "10.0.0.1", "2026-01")
    late = event(tenant_id=None, user_id=None, month="2026-01", prompt_tokens=5, completion_tokens=2)
    append_counted({**late, "status": "crashed", "prompt_tokens": 30, "completion_tokens": 12}, 42, counter)
    drain()
    assert MonthlyTally.objects.forget_addresses() == 1
    append_counted(late, 7, counter)
    append(event())
    assert drain() == 2
    assert Usage.objects.get(request_id=late["request_id"]).status == "ok"
    assert lag() == 0


def test_a_crash_that_is_reported_late_changes_nothing():
    counter = counter_name("user", "7", "2026-11")
    done = event(status="ok", user_id=7, prompt_tokens=30, completion_tokens=12)
    append_counted(done, 42, counter)
    append_counted({**done, "status": "crashed", "completion_tokens": 0}, 30, counter)
    drain()
    assert Usage.objects.get().status == "ok"
    assert counted(counter) == (42, 0)
