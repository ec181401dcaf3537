"""Rolling windows by a clock that the tests set: never more than the limit in any 60 seconds, never less than fits."""

from itertools import accumulate
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st
from pytest_django import Settings

from accounts.errors import RateLimited
from accounts.ledger import Ask, Ledger, Reservation
from accounts.limits import Month, RateLimit
from accounts.quota import Quota
from accounts.tests.clock import RedisClock
from accounts.tests.ledgers import open_empty_redis, with_ledger

UTC = ZoneInfo("UTC")
MINUTE_US = 60_000_000
START_US = 1_800_000_000_000_000

# Bursts, steady callers, and moments close to where a window ends.
gaps_us = st.one_of(
    st.just(0),
    st.integers(1, 1_000),
    st.integers(1, 20_000_000),
    st.integers(MINUTE_US - 3, MINUTE_US + 3),
)


async def refusal_at(ledger: Ledger, clock: RedisClock, moment_us: int, rates: list[RateLimit]) -> RateLimited | None:
    """What a request at this moment is told; None where it passed."""
    clock.set_us(moment_us)
    request = Reservation(f"r{moment_us}-{next(numbers)}", b"{}", 0)
    try:
        await ledger.admit(Ask(1, Quota(Month.at(moment_us / 1000, UTC), rate_limits=rates), [request]))
    except RateLimited as refusal:
        return refusal
    return None


numbers = iter(range(10**9))


@pytest.fixture(autouse=True)
def _patience(settings: Settings) -> None:
    """A busy machine is not what is tested."""
    settings.GATEWAY_REDIS_TIMEOUT_S = 10


def test_no_sixty_seconds_ever_hold_more_than_the_limit(redis_clock: RedisClock):
    @hypothesis_settings(max_examples=40, deadline=None)
    @given(gaps=st.lists(gaps_us, min_size=1, max_size=40), limit=st.integers(1, 6))
    def check(gaps: list[int], limit: int) -> None:
        open_empty_redis()
        arrivals = list(accumulate(gaps, initial=START_US))
        rates = [RateLimit("user", "1", limit)]

        async def work(ledger: Ledger) -> list[RateLimited | None]:
            return [await refusal_at(ledger, redis_clock, moment, rates) for moment in arrivals]

        answers = with_ledger(work)
        passed = [moment for moment, refusal in zip(arrivals, answers, strict=True) if refusal is None]
        for i, moment in enumerate(passed):
            assert sum(moment <= other < moment + MINUTE_US for other in passed[i:]) <= limit
        for moment, refusal in zip(arrivals, answers, strict=True):
            window = [other for other in passed if moment - MINUTE_US < other <= moment]
            if refusal:
                assert len(window) == limit, "refused although there was room"
                wait_us = window[0] + MINUTE_US - moment
                assert refusal.headers["Retry-After"] == str(max(1, -(-wait_us // 1_000_000)))

    check()


@pytest.mark.parametrize(
    ("moment_us", "retry_after", "reset"),
    [(20_200_000, "40", "40s"), (59_001_000, "1", "999ms"), (59_999_999, "1", "1ms"), (60_000_000, None, None)],
)
def test_retry_after_is_exact(moment_us: int, retry_after: str | None, reset: str | None, redis_clock: RedisClock):
    rates = [RateLimit("user", "1", 2)]

    async def work(ledger: Ledger) -> RateLimited | None:
        for earlier_us in (0, 10_500_000):
            assert await refusal_at(ledger, redis_clock, START_US + earlier_us, rates) is None
        return await refusal_at(ledger, redis_clock, START_US + moment_us, rates)

    refusal = with_ledger(work)
    headers = refusal.headers if refusal else {}
    assert headers.get("Retry-After") == retry_after
    assert headers.get("x-ratelimit-reset-requests") == reset


def test_of_several_full_windows_the_longest_wait_is_told(redis_clock: RedisClock):
    narrow, wide = RateLimit("user", "1", 1), RateLimit("tenant", "1", 2)

    async def work(ledger: Ledger) -> RateLimited | None:
        assert await refusal_at(ledger, redis_clock, START_US, [wide]) is None
        assert await refusal_at(ledger, redis_clock, START_US + 30_000_000, [narrow, wide]) is None
        return await refusal_at(ledger, redis_clock, START_US + 45_000_000, [narrow, wide])

    refusal = with_ledger(work)
    assert refusal is not None
    assert refusal.headers["Retry-After"] == "45", "the tenant's has room after 15 s, the user's only after 45"
    assert "your user" in refusal.message
