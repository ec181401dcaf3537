"""The refusals of comparisons. Drawn in `accounts.errors` and `proxy.errors`; added here:

GatewayError
├── NoneAnswered        502   upstream_error          none_answered      beside the comparison
├── ReadTooSlowly       500   gateway_error           read_too_slowly    only at the end of a stream
├── SlotsRefused        the status of the slots' problems if they have one in common, else 400; names every one
└── ComparisonNotFound  404   invalid_request_error   not_found      no such comparison, or another tenant's
    ComparisonDeleted   404   invalid_request_error   not_found      the one that an Idempotency-Key stands for
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from accounts.errors import GatewayError, InvalidRequest, NotFound, NotPermitted
from proxy.idempotency import HEADER


class ComparisonNotFound(NotFound):
    def __init__(self, comparison_id: str) -> None:
        super().__init__(f"There is no comparison “{comparison_id[:100]}” for you. GET /v1/comparisons lists them.")


class ComparisonDeleted(NotFound):
    def __init__(self) -> None:
        super().__init__(
            f"The comparison that this {HEADER} stands for was deleted. Choose a new key to compare anew.", param=HEADER
        )


class NoneAnswered(GatewayError):
    """What stands under "error" where no model answered; `told`: what each was asked by name, and its error."""

    status = 502
    type = "upstream_error"
    code = "none_answered"

    def __init__(self, told: Sequence[tuple[str, dict[str, Any]]]) -> None:
        codes = "; ".join(f"{model}: {error.get('code')}" for model, error in told)
        super().__init__(f"No model answered ({codes}). Each answer says why.")
        self._attempts = [attempt for _, error in told for attempt in error.get("attempts") or ()]

    def body(self, request_id: str) -> dict[str, Any]:
        return {**super().body(request_id), "attempts": self._attempts}


class ReadTooSlowly(GatewayError):
    """Told at the end of a stream, whose status was said long before."""

    code = "read_too_slowly"

    def __init__(self, comparison_id: str, *, is_stored: bool) -> None:
        found = f"GET /v1/comparisons/{comparison_id} has its answers." if is_stored else "It was not to be stored."
        super().__init__(f"The answers came faster than you read them, so this stream ends before them. {found}")


@dataclass(frozen=True, slots=True)
class SlotProblem:
    """Why one slot cannot be asked; `place` is where it stands in the request's models."""

    slot: int
    refusal: GatewayError
    place: int

    @property
    def param(self) -> str:
        """Where in the request: `models[1]`, `models[1].params.temperature`."""
        place = f"models[{self.place}]"
        param = self.refusal.param
        return place if param in {None, "model"} else f"{place}.{param}"

    def public(self) -> dict[str, Any]:
        return {
            "slot": self.slot,
            "param": self.param,
            "status": self.refusal.http_status,
            "code": self.refusal.code,
            "message": self.refusal.message,
        }


class SlotsRefused(NotPermitted):
    """Nothing was asked and nothing was spent, because of these slots.

    A NotPermitted for the gateway's sake: it never gives a refusal that an older configuration may have caused.
    """

    def __init__(self, problems: Sequence[SlotProblem]) -> None:
        first = problems[0]
        statuses = {problem.refusal.http_status for problem in problems}
        self._status = statuses.pop() if len(statuses) == 1 else 400
        self._problems = list(problems)
        told = " ".join(f"Slot {problem.slot}: {problem.refusal.message}" for problem in problems)
        agreed = self._status == first.refusal.http_status
        self._type = first.refusal.type if agreed else InvalidRequest.type
        code = first.refusal.code if agreed else InvalidRequest.code
        super().__init__(
            f"Nothing was asked. {told}", param=first.param, code=code, headers=dict(first.refusal.headers)
        )

    @property
    def http_status(self) -> int:
        return self._status

    def body(self, request_id: str) -> dict[str, Any]:
        slots = [problem.public() for problem in self._problems]
        return {**super().body(request_id), "type": self._type, "slots": slots}
