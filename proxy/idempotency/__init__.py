"""`Idempotency-Key`: a request is carried out once, however often it is sent within 24 hours.

`once` does it for a request that is one call; `Claim` is what others (comparisons) build the same from.
"""

from proxy.idempotency.claim import Claim
from proxy.idempotency.errors import HEADER, REPLAYED, RequestInFlight
from proxy.idempotency.once import once

__all__ = ["HEADER", "REPLAYED", "Claim", "RequestInFlight", "once"]
