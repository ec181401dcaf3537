"""Of many parallel requests at a limit of 60 a minute, exactly 60 pass."""

import asyncio
from collections import Counter

from benchmarks.exactness.books import Books
from benchmarks.exactness.callers import Callers, Wish, chat
from benchmarks.exactness.report import Report
from benchmarks.exactness.stage import Stage

CLAIM = "Of many parallel requests at a limit of 60 a minute, exactly 60 pass"
REQUESTS = 600
LIMIT = 60


def show(stage: Stage, scale: float = 1.0) -> Report:
    """It takes a second at full size: `scale` makes no difference."""
    report = Report(CLAIM)
    keys = stage.make_cast(
        {
            "name": "rate",
            "users": [{"name": "rate-user", "requests_per_minute": LIMIT, "keys": [{}, {}]}],
        }
    )
    wishes = [Wish(f"l{number}", keys[number % 2], chat({"id": f"l{number}"})) for number in range(REQUESTS)]
    outcomes = asyncio.run(Callers(stage.url, patient=True).ask_all(wishes, at_once=REQUESTS))
    statuses = Counter(outcome.status for outcome in outcomes)
    books = Books(stage, keys)
    books.settle()
    report.figures = {
        "parallel requests, two keys, one user": f"{REQUESTS:,}",
        "answered": f"{statuses[200]:,}",
        "refused (429)": f"{statuses[429]:,}",
        "usage rows": f"{len(books.rows()):,}",
    }
    report.expect(statuses[200], LIMIT, "answered")
    report.expect(statuses[429], REQUESTS - LIMIT, "refused")
    report.expect(len(books.rows()), LIMIT, "usage rows")
    report.differences += books.differences()
    return report
