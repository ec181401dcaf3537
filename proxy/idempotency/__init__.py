"""`Idempotency-Key`: a request is carried out once, however often it is sent within 24 hours."""

from proxy.idempotency.once import once

__all__ = ["once"]
