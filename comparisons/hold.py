"""A comparison's hold on its idempotency key, from before its models are asked until it has ended.

Of a comparison that is stored, the key keeps the id: as soon as its rows are there, and so whatever becomes of this
process. Of one that is not, it keeps the answer itself when it is there; until then the claim is held, as a chat's is.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from comparisons.models import Answer, Comparison
from comparisons.recording import entry
from proxy.idempotency import Claim, RequestInFlight
from proxy.idempotency.recording import MAX_KEPT_BYTES

# Models are not asked before the key is bound, but where Redis is slow they do not wait long: the claim holds anyway.
PATIENCE_S = 0.5


class Hold:
    def __init__(self, claim: Claim, *, store: bool) -> None:
        self._claim = claim
        self._store = store

    async def begun(self, comparison: Comparison) -> None:
        """Its rows are there, and no model has been asked. Raises RequestInFlight if another request has the key."""
        if self._store and not await self._claim.bind(_where(comparison), PATIENCE_S):
            raise RequestInFlight

    def ended(self, comparison: Comparison, answers: Sequence[Answer], tags: Sequence[str]) -> None:
        """However it ended: this is its answer. To keep where it is stored a second time changes nothing."""
        kept = _where(comparison) if self._store else entry.whole(comparison, answers, tags)
        if len(kept) <= MAX_KEPT_BYTES:
            self._claim.keep(kept)
        else:
            self._claim.release()


def _where(comparison: Comparison) -> bytes:
    return orjson.dumps({"comparison": comparison.pk})


def is_whole(kept: dict[str, Any]) -> bool:
    """Whether what was kept is the answer itself, and not where it is stored."""
    return "whole" in kept
