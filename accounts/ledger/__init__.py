"""The live ledger in Redis: who is admitted, what is reserved, what was used.

One script call admits a request, one settles it; both are idempotent by request id. A usage event in the stream is the
record from which Celery writes the durable row (proxy/usage). What Redis loses is rebuilt from the database: see
`epoch`.
"""

from accounts.ledger.admission import (
    Admission,
    AnswerLost,
    Ask,
    EpochEnded,
    OtherMonth,
    Reservation,
    StaleConfiguration,
)
from accounts.ledger.ledger import Ledger
from accounts.ledger.settlement import Settlement
from accounts.ledger.settlements import Settlements
from accounts.ledger.sweep import sweep

__all__ = [
    "Admission",
    "AnswerLost",
    "Ask",
    "EpochEnded",
    "Ledger",
    "OtherMonth",
    "Reservation",
    "Settlement",
    "Settlements",
    "StaleConfiguration",
    "sweep",
]
