"""The requests of the ledger's model: what each reserves, what it used, and how it ended."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

from accounts.ledger import Settlement
from accounts.limits import Scope, counter_name
from proxy.tests.usage_events import event

TENANT, USER = 1, 7
KEYS = [str(uuid.UUID(int=number)) for number in (1, 2)]
PROMPT = 20


def subjects_of(key: str) -> list[tuple[Scope, str]]:
    return [("tenant", str(TENANT)), ("user", str(USER)), ("key", key)]


@dataclass(eq=False)
class Request:
    """One that was admitted: `open`, then `settled`; or `swept` when its process died, or seemed to.

    `place` and `life` say which process it is of. `recorded`: the database knows its end. `is_marked`: Redis knows that
    it is settled. `held_again`: recorded as swept, but its process is alive and has brought its reservation along into
    a new life of Redis.
    """

    name: str
    place: int
    life: int
    key: str
    month: str
    tokens: int
    state: str = "open"
    used: int = 0
    delivered: int = 0
    recorded: bool = False
    is_marked: bool = False
    swept_for: int = 0
    swept_is_recorded: bool = False
    held_again: bool = False

    @property
    def counters(self) -> tuple[str, ...]:
        return tuple(counter_name(scope, subject, self.month) for scope, subject in subjects_of(self.key))

    @property
    def reserves(self) -> int:
        return self.tokens if self.state == "open" or self.held_again else 0

    def sweep(self) -> None:
        """Billed for the prompt, and for what was delivered."""
        if self.state == "open":
            self.state, self.recorded = "swept", False
            self.used = self.swept_for = PROMPT + self.delivered
        self.held_again = False

    def note_record(self, state: str) -> None:
        """The database knows that it ended so."""
        self.recorded |= self.state == state
        self.swept_is_recorded |= state == "swept"

    def come_back(self) -> None:
        """Its living process brings it along: under way, if it has not settled it."""
        if self.state == "swept" and self.recorded:
            self.held_again = True
        elif self.state == "swept":
            self.state, self.used = "open", 0

    @property
    def record(self) -> bytes:
        return json.dumps(self._event(prompt_tokens=PROMPT)).encode()

    @property
    def settlement(self) -> Settlement:
        ended = json.dumps(self._event(prompt_tokens=self.used)).encode()
        return Settlement(self.name, ended, self.used, self.counters)

    def _event(self, **fields: object) -> dict[str, Any]:
        identity = {"request_id": self.name, "month": self.month, "tenant_id": TENANT, "user_id": USER}
        return event(**{**identity, "key_id": self.key, "completion_tokens": 0, **fields})
