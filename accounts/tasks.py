"""What worker and beat do for accounts: doors only. Every task may come twice, late or not at all."""

from celery import shared_task

from accounts import budget_warnings
from accounts.ticks import on_the_next_tick

# Sending stops by itself in time, is interrupted a little later, and killed before its message would come again.
SENDING_S = 30.0
INTERRUPTED_AFTER_S = 90
KILLED_AFTER_S = 120


@shared_task(soft_time_limit=INTERRUPTED_AFTER_S, time_limit=KILLED_AFTER_S)
@on_the_next_tick
def warn_of_budgets() -> int:
    """Note the budgets that reached a threshold, and send what waits; returns how many warnings are new."""
    noted = budget_warnings.note()
    budget_warnings.send(for_at_most_s=SENDING_S)
    return noted
