"""The numbers are exact: what `make exactness` shows (docs/exactness.md), at a twentieth of the size."""

from collections.abc import Callable, Iterator

import pytest
from django.conf import settings

from benchmarks.exactness.cases import budget, cache, hang_ups, rate_limit, redis_killed, web_killed, worker_killed
from benchmarks.exactness.report import Report
from benchmarks.exactness.stage import Stage

pytestmark = pytest.mark.services
SCALE = 0.05


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage(settings.DATABASE_URL) as stage:
        yield stage


def check(show: Callable[[Stage, float], Report], stage: Stage) -> None:
    report = show(stage, SCALE)
    assert not report.differences, str(report)


def test_a_budget_that_fits_k_parallel_requests_admits_k(stage: Stage):
    check(budget.show, stage)


def test_hang_ups_and_failing_providers_leave_no_token_uncounted(stage: Stage):
    check(hang_ups.show, stage)


def test_sixty_of_six_hundred_parallel_requests_pass_a_limit_of_sixty(stage: Stage):
    check(rate_limit.show, stage)


def test_the_cache_never_mixes_tenants(stage: Stage):
    check(cache.show, stage)


def test_a_killed_web_process_leaves_at_most_256_tokens_of_a_stream_unbilled(stage: Stage):
    check(web_killed.show, stage)


def test_a_worker_that_is_killed_in_mid_batch_loses_and_repeats_nothing(stage: Stage):
    check(worker_killed.show, stage)


def test_budgets_and_rows_survive_a_redis_that_comes_back_empty(stage: Stage):
    check(redis_killed.show_emptied, stage)


def test_budgets_and_rows_survive_a_redis_that_comes_back_without_its_last_second(stage: Stage):
    check(redis_killed.show_rolled_back, stage)
