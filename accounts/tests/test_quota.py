"""What a caller may in a month, as the ledger asks for it."""

import uuid
from zoneinfo import ZoneInfo

from accounts.callers import Caller
from accounts.limits import Budget, ConcurrencyLimit, Month, RateLimit
from accounts.quota import Quota

NOVEMBER = Month(ZoneInfo("UTC"), 2026, 11)
DECEMBER = Month(ZoneInfo("UTC"), 2026, 12)


def quota(*budgets: Budget) -> Quota:
    rates, gates = (RateLimit("user", "1", 60), RateLimit("key", "k", 5)), (ConcurrencyLimit("key", "k", 2),)
    return Quota(NOVEMBER, rates, gates, budgets)


def test_names_and_limits_stand_in_the_same_order():
    asked = quota(Budget("tenant", "1", 100), Budget("user", "1", None))
    assert asked.names == [
        "{gw}:rate:user:1",
        "{gw}:rate:key:k",
        "{gw}:gate:key:k",
        "{gw}:budget:tenant:1:2026-11",
        "{gw}:budget:user:1:2026-11",
    ]
    assert asked.limits == [60, 5, 2, 100, -1]


def test_a_soft_budget_has_a_limit_that_is_not_enforced():
    asked = quota(Budget("tenant", "1", 100, "soft"))
    assert asked.budget_limits == [100]
    assert not asked.has_hard_budget
    assert quota(Budget("user", "1", 0)).has_hard_budget
    assert not quota(Budget("user", "1", None)).has_hard_budget


def test_a_top_up_that_takes_away_more_than_there_is_leaves_nothing():
    asked = Quota(NOVEMBER, budgets=[Budget("user", "1", 100, top_ups={"2026-11": -101})])
    assert (asked.budget_limits, asked.limits, asked.has_hard_budget) == ([0], [0], True)


def test_a_top_up_counts_in_its_month_only():
    budget = Budget("user", "1", 100, top_ups={"2026-12": 50})
    assert Quota(NOVEMBER, budgets=[budget]).budget_limits == [100]
    assert Quota(DECEMBER, budgets=[budget]).budget_limits == [150]


def test_a_caller_has_one_quota_for_each_month():
    key = Caller(1, "acme", "UTC", 1, "alice", "", uuid.uuid4(), budgets=(Budget("key", "k", 10),))
    assert key.quota(NOVEMBER) is key.quota(NOVEMBER)
    assert key.quota(DECEMBER).counters == ("{gw}:budget:key:k:2026-12",)
    assert key.quota(NOVEMBER).counters == ("{gw}:budget:key:k:2026-11",)
