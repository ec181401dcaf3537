"""What a caller may in one month, as the ledger asks for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from accounts.limits import Budget, ConcurrencyLimit, Month, RateLimit


@dataclass(frozen=True, eq=False)
class Quota:
    """A caller's limits in a month. The same object serves all requests of both: it remembers names and numbers."""

    month: Month
    rate_limits: Sequence[RateLimit] = ()
    gates: Sequence[ConcurrencyLimit] = ()
    budgets: Sequence[Budget] = ()

    @cached_property
    def gate_names(self) -> tuple[str, ...]:
        return tuple(limit.gate for limit in self.gates)

    @cached_property
    def counters(self) -> tuple[str, ...]:
        """The names of the budgets' counters in Redis."""
        return tuple(budget.counter(self.month.name) for budget in self.budgets)

    @cached_property
    def names(self) -> list[str]:
        """Everything that is counted, in Redis: rate windows, gates, counters."""
        return [*(limit.window for limit in self.rate_limits), *self.gate_names, *self.counters]

    @cached_property
    def budget_limits(self) -> list[int | None]:
        """Tokens, top-ups included; None where a budget has no limit."""
        return [budget.limit_in(self.month.name) for budget in self.budgets]

    @cached_property
    def limits(self) -> list[int]:
        """The limit of each name: requests in a minute, requests at the same time, tokens (-1: only counted)."""
        requests = [*(limit.limit for limit in self.rate_limits), *(limit.limit for limit in self.gates)]
        return requests + [-1 if limit is None else limit for limit in self.budget_limits]

    @cached_property
    def has_hard_budget(self) -> bool:
        return any(budget.is_hard for budget in self.budgets)
