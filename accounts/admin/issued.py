"""New keys on their way from the form that made them to the one page that shows them.

A page that is the answer to a form would issue another key on every reload, so the form answers with a redirect. In
between the key waits in the session, encrypted for its own row; the page takes it out.
"""

from dataclasses import dataclass

from django.http import HttpRequest

from accounts.encryption import CannotDecrypt, seal, unseal
from accounts.models import APIKey

SESSION_KEY = "issued_api_keys"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    row: APIKey
    plain: str


class IssuedKeys:
    """The new keys of one person's session."""

    def __init__(self, request: HttpRequest) -> None:
        self.session = request.session

    def put(self, row: APIKey, plain: str) -> None:
        waiting = self.session.get(SESSION_KEY, {})
        self.session[SESSION_KEY] = {**waiting, str(row.pk): seal(plain, _place(str(row.pk)))}

    def take(self) -> list[IssuedKey]:
        """The keys that were not shown yet; each is given once."""
        waiting = self.session.pop(SESSION_KEY, {})
        rows = APIKey.objects.select_related("user__tenant").filter(pk__in=waiting)
        return [IssuedKey(row, plain) for row in rows if (plain := _opened(waiting[str(row.pk)], str(row.pk)))]


def _opened(sealed: str, pk: str) -> str | None:
    try:
        return unseal(sealed, _place(pk))
    except CannotDecrypt:  # the gateway's secret was changed in this very moment
        return None


def _place(pk: str) -> str:
    return f"session:issued_api_key:{pk}"
