"""Names in our key space. Every one carries the same hash tag, so that one script may touch them all."""

TAG = "{gw}"
CONFIGURATION_VERSION = f"{TAG}:configuration-version"
EPOCH = f"{TAG}:epoch"


def key(*parts: str) -> str:
    """A name in our key space: `key("reservation", "req_1")` is `{gw}:reservation:req_1`."""
    return ":".join((TAG, *parts))
