"""What worker and beat do for comparisons: doors only. Every task may come twice, late or not at all."""

from celery import shared_task

from accounts.ticks import on_the_next_tick
from comparisons import retention
from comparisons.recording import drain
from proxy.tasks import INTERRUPTED_AFTER_S, KILLED_AFTER_S

# Deleting stops by itself in time, is interrupted a little later, and killed before its message would come again.
DELETING_S = 180
DELETING_INTERRUPTED_AFTER_S = 240
DELETING_KILLED_AFTER_S = 270


@shared_task(soft_time_limit=INTERRUPTED_AFTER_S, time_limit=KILLED_AFTER_S)
@on_the_next_tick
def record_comparisons() -> int:
    """Write the results that wait; returns how many."""
    return drain.drain()


@shared_task(soft_time_limit=INTERRUPTED_AFTER_S, time_limit=KILLED_AFTER_S)
@on_the_next_tick
def sweep_comparisons() -> int:
    """End the comparisons of processes that died; returns how many."""
    return drain.sweep()


@shared_task(soft_time_limit=DELETING_INTERRUPTED_AFTER_S, time_limit=DELETING_KILLED_AFTER_S)
def delete_expired_comparisons() -> int:
    """Delete what tenants no longer keep; returns how many comparisons."""
    return retention.delete_expired(for_at_most_s=DELETING_S)
