"""Rate limits while Redis is away: each web process counts for itself, and lets its share of every limit pass."""

import time
from collections import defaultdict, deque
from collections.abc import Sequence

from django.conf import settings

from accounts.ledger.refusals import rate_limited
from accounts.limits import RateLimit

WINDOW_S = 60.0
MOST_WINDOWS = 10_000


class LocalLimits:
    """Rolling windows of one process. A limit is divided by `GATEWAY_WORKERS`, the number of web processes."""

    def __init__(self) -> None:
        self._windows: defaultdict[str, deque[float]] = defaultdict(deque)

    def admit(self, limits: Sequence[RateLimit], requests: int = 1) -> None:
        """Count the requests in every limit, or raise RateLimited and count them in none."""
        now = time.monotonic()
        if len(self._windows) > MOST_WINDOWS:
            self._windows.clear()
        for limit in limits:
            window, share = self._window(limit, now), max(1, limit.limit // settings.GATEWAY_WORKERS)
            if len(window) + requests > share:
                oldest = window[0] if window else now
                raise rate_limited(limit, retry_ms=round((oldest + WINDOW_S - now) * 1000))
        for limit in limits:
            self._window(limit, now).extend([now] * requests)

    def _window(self, limit: RateLimit, now: float) -> deque[float]:
        window = self._windows[limit.window]
        while window and window[0] <= now - WINDOW_S:
            window.popleft()
        return window
