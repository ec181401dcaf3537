"""What beat does when. Apart from the settings, which every process reads: they do without Celery."""

from typing import Any

from celery.schedules import crontab
from django.conf import settings

# A tick is only a hint to look: those that found no worker expire. Not at once, as clocks of two machines differ.
SCHEDULE: dict[str, dict[str, Any]] = {
    "drain-usage": {"task": "proxy.tasks.drain_usage", "schedule": 1.0, "options": {"expires": 30}},
    "sweep-reservations": {"task": "proxy.tasks.sweep_reservations", "schedule": 10.0, "options": {"expires": 60}},
    "forget-addresses": {"task": "proxy.tasks.forget_addresses", "schedule": crontab(hour="3", minute="37")},
    "delete-expired-bodies": {
        "task": "proxy.tasks.delete_expired_bodies",
        "schedule": crontab(hour="3", minute="27"),
    },
    "warn-of-budgets": {"task": "accounts.tasks.warn_of_budgets", "schedule": 30.0, "options": {"expires": 60}},
    "prune-expired-tokens": {"task": "proxy.tasks.prune_expired_tokens", "schedule": crontab(hour="3", minute="17")},
    "record-comparisons": {
        "task": "comparisons.tasks.record_comparisons",
        "schedule": 1.0,
        "options": {"expires": 30},
    },
    "sweep-comparisons": {"task": "comparisons.tasks.sweep_comparisons", "schedule": 10.0, "options": {"expires": 60}},
    "delete-expired-comparisons": {
        "task": "comparisons.tasks.delete_expired_comparisons",
        "schedule": crontab(hour="3", minute="41"),
    },
}
if settings.POSTHOG_API_KEY:
    SCHEDULE["send-to-posthog"] = {
        "task": "proxy.tasks.send_to_posthog",
        "schedule": 5.0,
        "options": {"expires": 30},
    }
