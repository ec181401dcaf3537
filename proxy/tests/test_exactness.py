"""The numbers are exact: what `make exactness` shows (docs/exactness.md), at a twentieth of the size."""

from collections.abc import Iterator
from types import ModuleType

import pytest
from django.conf import settings

from benchmarks.exactness.cases import budget, cache, hang_ups, rate_limit
from benchmarks.exactness.stage import Stage

pytestmark = pytest.mark.services
SCALE = 0.05


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage(settings.DATABASE_URL) as stage:
        yield stage


def show(case: ModuleType, stage: Stage) -> None:
    report = case.show(stage, SCALE)
    assert not report.differences, str(report)


def test_a_budget_that_fits_k_parallel_requests_admits_k(stage: Stage):
    show(budget, stage)


def test_hang_ups_and_failing_providers_leave_no_token_uncounted(stage: Stage):
    show(hang_ups, stage)


def test_sixty_of_six_hundred_parallel_requests_pass_a_limit_of_sixty(stage: Stage):
    show(rate_limit, stage)


def test_the_cache_never_mixes_tenants(stage: Stage):
    show(cache, stage)
