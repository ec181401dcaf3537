import re
from argparse import ArgumentTypeError
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.models import APIKey, User
from accounts.models.api_key import Comparing

UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class Command(BaseCommand):
    help = "Issue an API key for a user. It is printed once, alone on standard output; all else goes to standard error."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", required=True, metavar="U", help="whose key it is: the user name")
        parser.add_argument("--name", required=True, metavar="N", help="what the key is for, for example billing")
        parser.add_argument(
            "--expires",
            type=_moment,
            metavar="90d",
            help="when it ends: hours (12h), days (90d), weeks (2w); else never",
        )

        parser.add_argument(
            "--comparing",
            choices=Comparing.values,
            default=Comparing.ALLOWED,
            help="whether it may compare models: allowed (beside everything else), only (nothing else), never",
        )

    def handle(
        self, *args: Any, user: str, name: str, expires: datetime | None, comparing: str, **options: Any
    ) -> None:
        owner = _owner(user)
        row, key = APIKey.issue(owner, _checked_name(name), expires_at=expires, comparing=comparing)
        ends = f"works until {expires:%Y-%m-%d %H:%M} UTC" if expires else "does not expire"
        self._say(f"The key “{row.name}” of {owner} ({owner.tenant}) {ends}. It is shown only now: keep it safe.")
        if not (owner.is_active and owner.tenant and owner.tenant.is_active):
            self._say("It is refused for now: its user or tenant is not active. Tick “active” in the admin.")
        self.stdout.write(key)

    def _say(self, text: str) -> None:
        self.stderr.write(text, style_func=str)


def _moment(text: str) -> datetime:
    """The moment that is so far away: `12h`, `90d`, `2w`."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})([hdw])", text)
    if not match:
        raise ArgumentTypeError(f"{text!r} is no length of time. Say for example 12h, 90d or 2w.")
    count, unit = match.groups()
    return timezone.now() + timedelta(**{UNITS[unit]: int(count)})


def _owner(username: str) -> User:
    user: User | None = User.objects.filter(username=username).select_related("tenant").first()
    if user is None:
        close = get_close_matches(username, User.objects.values_list("username", flat=True), n=1)
        advice = f"Did you mean {close[0]!r}?" if close else "Make one in the admin or with apply_config first."
        raise CommandError(f"There is no user {username!r}. {advice}")
    if user.tenant is None:
        raise CommandError(
            f"The user {username!r} has no tenant, so nothing could be charged for its calls. Give it a tenant in the "
            "admin, or make a user for the API with apply_config."
        )
    return user


def _checked_name(name: str) -> str:
    try:
        return str(APIKey._meta.get_field("name").clean(name.strip(), None))
    except ValidationError as error:
        raise CommandError(f"--name: {' '.join(error.messages)}") from error
