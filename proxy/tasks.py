"""What worker and beat do, and the background of an embedded gateway: doors only.

Every task may come twice, late or not at all: each looks at what there is to do, and a tick that found no worker is
made up for by the next.
"""

from celery import shared_task
from django.core.management import call_command

from accounts import ledger
from accounts.models import MonthlyTally
from accounts.ticks import on_the_next_tick
from proxy.models import StoredBody
from proxy.usage import posthog
from proxy.usage.drain import drain

# Seconds until a task is interrupted, and until its process is killed. The tasks end by themselves long before.
INTERRUPTED_AFTER_S = 30
KILLED_AFTER_S = 45
DELETING_S = 20


@shared_task(soft_time_limit=INTERRUPTED_AFTER_S, time_limit=KILLED_AFTER_S)
@on_the_next_tick
def drain_usage() -> int:
    """Write the usage events that wait; returns how many."""
    return drain()


@shared_task(soft_time_limit=INTERRUPTED_AFTER_S, time_limit=KILLED_AFTER_S)
@on_the_next_tick
def sweep_reservations() -> int:
    """Settle the requests of processes that died; returns how many."""
    return ledger.sweep()


@shared_task(soft_time_limit=INTERRUPTED_AFTER_S, time_limit=KILLED_AFTER_S)
@on_the_next_tick
def send_to_posthog() -> int:
    """Tell PostHog about recorded requests; returns how many."""
    return posthog.send()


@shared_task(soft_time_limit=INTERRUPTED_AFTER_S, time_limit=KILLED_AFTER_S)
def prune_expired_tokens() -> None:
    """Forget refresh tokens that expired: they are refused without a record, too."""
    call_command("flushexpiredtokens")


@shared_task(soft_time_limit=INTERRUPTED_AFTER_S, time_limit=KILLED_AFTER_S)
def forget_addresses() -> int:
    """Forget which network addresses called anonymously in past months; returns how many tallies went."""
    return MonthlyTally.objects.forget_addresses()


@shared_task(soft_time_limit=INTERRUPTED_AFTER_S, time_limit=KILLED_AFTER_S)
def delete_expired_bodies() -> int:
    """Delete prompts and answers that tenants no longer keep; returns how many."""
    return StoredBody.objects.delete_expired(for_at_most_s=DELETING_S)
