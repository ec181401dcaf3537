"""How the scripts are called: what is the same for all requests of a caller comes first, and is packed once."""

from collections.abc import Sequence
from typing import Any

from accounts.ledger import keys
from accounts.ledger.admission import Ask
from accounts.ledger.settlement import Settlement
from accounts.quota import Quota
from accounts.redis import CONFIGURATION_VERSION, Prepared

MOST_PREPARED = 10_000

Operands = tuple[list[Any], list[Any]]


def operands_of_settling(process: str, counters: Sequence[str], gates: Sequence[str], *, swept: bool) -> Operands:
    """The first KEYS and ARGV of `settle.lua`."""
    names = [*counters, *gates, keys.reservations_of(process)]
    names += [keys.SETTLED, keys.USAGE_STREAM, keys.EPOCH, keys.SWEPT]
    return names, [len(counters), len(gates), int(swept)]


class Calls:
    """The prepared calls of one process."""

    def __init__(self, process: str) -> None:
        self._process = process
        self._admissions: dict[tuple[Quota, int], Prepared] = {}
        self._settlements: dict[tuple[Sequence[str], Sequence[str]], Prepared] = {}
        self.checkpoint = Prepared(keys.CHECKPOINT, more_keys=1, more_args=1)

    def forget(self) -> None:
        """Their callers may have other limits by now."""
        self._admissions.clear()
        self._settlements.clear()

    def admission(self, ask: Ask, epoch: str) -> tuple[Prepared, Sequence[Any], Sequence[Any]]:
        """The call of `admit.lua`."""
        requests = ask.requests
        prepared = self._admissions.get((ask.quota, len(requests)))
        if prepared is None:
            prepared = self._prepare_admission(ask.quota, len(requests))
        names = (ask.cached, *(keys.reservation(request.request_id) for request in requests))
        asked_ms = "" if ask.asked_ms is None else ask.asked_ms
        arguments: list[Any] = [ask.version, epoch, int(ask.enforces), ask.seal, asked_ms]
        for request in requests:
            arguments += (request.request_id, request.opening, request.estimate, request.tokens)
        return prepared, names, arguments

    def settlement(self, settlement: Settlement, epoch: str) -> tuple[Prepared, Sequence[Any], Sequence[Any]]:
        """The call of `settle.lua`."""
        prepared = self._settlements.get((settlement.counters, settlement.gates))
        if prepared is None:
            prepared = self._prepare_settlement(settlement.counters, settlement.gates)
        request_id = settlement.request_id
        names = (keys.reservation(request_id), settlement.cached)
        arguments = (epoch, request_id, settlement.event, settlement.tokens, settlement.keep_s, settlement.answer)
        return prepared, names, arguments

    def _prepare_admission(self, quota: Quota, requests: int) -> Prepared:
        names = [*quota.names, CONFIGURATION_VERSION, keys.EPOCH, keys.reservations_of(self._process)]
        names += [keys.BREAKERS, keys.SETTLED, keys.USAGE_STREAM]
        numbers = [len(quota.rate_limits), len(quota.gates), len(quota.budgets), requests]
        numbers += [quota.month.start_ms, quota.month.end_ms, *quota.limits]
        numbers += [int(budget.is_hard) for budget in quota.budgets]
        prepared = Prepared(keys.ADMIT, names, numbers, more_keys=1 + requests, more_args=5 + 4 * requests)
        _remember(self._admissions, (quota, requests), prepared)
        return prepared

    def _prepare_settlement(self, counters: Sequence[str], gates: Sequence[str]) -> Prepared:
        operands = operands_of_settling(self._process, counters, gates, swept=False)
        prepared = Prepared(keys.SETTLE, *operands, more_keys=2, more_args=6)
        _remember(self._settlements, (counters, gates), prepared)
        return prepared


def _remember(prepared: dict[Any, Prepared], key: Any, call: Prepared) -> None:
    if len(prepared) >= MOST_PREPARED:
        prepared.clear()
    prepared[key] = call
