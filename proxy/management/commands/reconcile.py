"""Do the live counters, the usage rows and the tallies agree?"""

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.utils import timezone
from redis.exceptions import RedisError

from accounts.ledger import epoch
from accounts.models.top_up import validate_month
from proxy.usage.rebuild import rebuild as rebuild_counters
from proxy.usage.reconciliation import Difference, differences

# Requests are settled and drained while the books are read: a difference counts only if it is still there after this.
PAUSE_S = 2.0
ELSEWHERE = (
    "On the embedded default the counters are in the server's memory, where this command cannot see them: only usage "
    "rows and tallies are compared."
)


class Command(BaseCommand):
    help = "Compare live counters, usage rows and tallies of a month; exit 1 if they differ."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--month", type=str, help="YYYY-MM (default: this month, UTC)")
        parser.add_argument(
            "--rebuild",
            action="store_true",
            help="set the counters to what the database says; closes admission for a few seconds",
        )

    def handle(self, *args: Any, month: str | None, rebuild: bool, **options: Any) -> None:
        month = month or timezone.now().strftime("%Y-%m")
        validate_month(month)
        try:
            are_here = not settings.EMBEDDED or bool(epoch.current())
            if rebuild and not are_here:
                raise CommandError(f"{ELSEWHERE} Restart the server to rebuild them.")
            if rebuild:
                self._rebuild()
            found = _lasting(month, with_counters=are_here)
        except (RedisError, DatabaseError) as error:
            raise CommandError(f"Redis or the database does not answer: {error}") from error
        for difference in found:
            self.stdout.write(str(difference))
        if found:
            hint = "--rebuild sets the counters right." if are_here else ELSEWHERE
            raise CommandError(f"{len(found)} difference{'s' if len(found) > 1 else ''} in {month}. {hint}")
        self.stdout.write(f"No difference in {month}." if are_here else f"No difference in {month}. {ELSEWHERE}")

    def _rebuild(self) -> None:
        epoch.end()
        self.stdout.write("Admission is closed. Rebuilding the counters from the database.")
        rebuild_counters()
        self.stdout.write("The counters are rebuilt; web processes join within a second or two.")


def _lasting(month: str, *, with_counters: bool) -> list[Difference]:
    found = differences(month, with_counters=with_counters)
    if found:
        time.sleep(PAUSE_S)
        later = differences(month, with_counters=with_counters)
        found = [difference for difference in later if difference in found]
    return found
