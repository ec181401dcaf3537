"""A Lua script from a file, called by its SHA-1."""

import hashlib
from pathlib import Path

SCRIPTS = Path(__file__).parents[1] / "ledger" / "scripts"


class Script:
    """Its source, and the SHA-1 by which a server knows it."""

    def __init__(self, path: Path) -> None:
        self.source = path.read_text()
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
