"""Counters from the database, after Redis lost them (or may have lost some of their last writes).

While the ledger has no epoch, nothing is admitted or settled, so nothing new comes into the stream. What waits there is
drained first; then the tallies are the truth, and become the counters of a new epoch. Every web process brings along
what only it knows: requests under way, and events whose rows it has not seen.
"""

import logging

from django.conf import settings
from django.db import transaction

from accounts.ledger import epoch
from accounts.limits import counter_name
from accounts.models import MonthlyTally
from proxy.models import StreamPosition
from proxy.usage.drain import drain, lag, restart_stream, wait_for_drainer

logger = logging.getLogger(__name__)

# Nothing older can still be charged: a request is charged to the month that it was admitted in.
MONTHS_KEPT = 3


def rebuild() -> str:
    """Rebuild the counters unless somebody just did; returns the epoch's id. Raises RedisError, DatabaseError."""
    while True:
        drain()
        with transaction.atomic(durable=True):
            wait_for_drainer()
            if current := epoch.current():
                return current
            if lag():
                continue
            was_used = StreamPosition.objects.exists()
            spent = _spent()
            restart_stream()
            # A gateway that never ran, or runs in one process, has lost nothing, and has nobody to wait for.
            is_loss = was_used and not settings.EMBEDDED
            begun = epoch.begin(spent, grace_ms=epoch.GRACE_MS if is_loss else 0)
        level = logging.WARNING if is_loss else logging.INFO
        logger.log(level, "The ledger's counters were built from the database: %d, epoch %s.", len(spent), begun)
        return begun


def _spent() -> dict[str, int]:
    """Tokens by counter, of the last months."""
    months = MonthlyTally.objects.order_by("-month").values_list("month", flat=True).distinct()[:MONTHS_KEPT]
    tallies = MonthlyTally.objects.filter(month__in=list(months))
    return {counter_name(tally.scope, tally.subject, tally.month): tally.tokens for tally in tallies.iterator()}
