"""After a recovery: does the budget still hold, to the token?"""

import asyncio
from typing import Any

import orjson

from benchmarks.exactness.books import Books
from benchmarks.exactness.callers import Callers, Wish
from benchmarks.exactness.cases.budget import body_of
from benchmarks.exactness.report import Report
from benchmarks.exactness.stage import Key, Stage

FIT = 5
ASKED = 40


def still_fit(stage: Stage, keys: list[Key], limit: int, report: Report) -> None:
    """Divide what the rows leave of the tenant's limit among five requests, ask forty at once: five are admitted.

    `keys`: all of the tenant's.
    """
    books = Books(stage, keys)
    left = limit - sum(row.tokens for row in books.rows())
    bodies = [_body_that_reserves(left // FIT, f"r-{number:05}") for number in range(ASKED)]
    wishes = [Wish(body["script"]["id"], keys[0], body) for body in bodies]
    outcomes = asyncio.run(Callers(stage.url, patient=True).ask_all(wishes, at_once=ASKED))
    books.settle()
    admitted = sum(outcome.whole for outcome in outcomes)
    report.expect(admitted, FIT, "requests admitted afterwards")
    report.differences += books.differences()
    report.figures["afterwards"] = f"{left:,} tokens left fit {FIT} of {ASKED} requests, {admitted} admitted"


def _body_that_reserves(bound: int, name: str) -> dict[str, Any]:
    """And uses as much. What bytes it has less than it might is made up for by padding."""
    longest = len(orjson.dumps(body_of(name, bound, 0, bound)))
    max_tokens = bound - longest
    padding = longest - len(orjson.dumps(body_of(name, max_tokens, 0, bound)))
    return body_of(name, max_tokens, padding, bound)
