import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from proxy.configuration import ConfigurationError, apply, read


class Command(BaseCommand):
    help = "Bring providers, models, chains, tenants and users to what a YAML file says (docs/configuration.md)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="the YAML file, or - for standard input")
        parser.add_argument("--dry-run", action="store_true", help="print the difference and change nothing")
        parser.add_argument(
            "--prune", action="store_true", help="also delete what the sections of the file leave out; see --dry-run"
        )

    def handle(self, *args: Any, file: str, dry_run: bool, prune: bool, **options: Any) -> None:
        try:
            changes = apply(read(_content(file)), prune=prune, dry_run=dry_run)
        except ConfigurationError as error:
            raise CommandError("\n".join(["Nothing was changed.", *error.problems])) from error
        for change in changes:
            self.stdout.write(str(change))
        self.stdout.write(_summary(len(changes), dry_run=dry_run))


def _content(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error


def _summary(count: int, *, dry_run: bool) -> str:
    if not count:
        return "Nothing to change."
    changes = "1 change" if count == 1 else f"{count} changes"
    return f"{changes} to make; nothing was changed (--dry-run)." if dry_run else f"{changes} made."
