"""The live ledger in Redis: who is admitted, what is reserved, what was used.

One script call admits a request, one settles it; both are idempotent by request id. A usage event in the stream is the
record from which Celery writes the durable row (proxy/usage).
"""

from accounts.ledger.ledger import Admission, Ask, Ledger, OtherMonth, Settlement, StaleConfiguration
from accounts.ledger.settlements import Settlements
from accounts.ledger.sweep import sweep

__all__ = ["Admission", "Ask", "Ledger", "OtherMonth", "Settlement", "Settlements", "StaleConfiguration", "sweep"]
