"""`kill -9` of Redis, which comes back empty, or without its last second."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from benchmarks.exactness.books import Books
from benchmarks.exactness.callers import Callers, Outcome, Wish
from benchmarks.exactness.cases.budget import body_of
from benchmarks.exactness.cases.hang_ups import check_rows, wishes
from benchmarks.exactness.cases.room import still_fit
from benchmarks.exactness.report import Report
from benchmarks.exactness.stage import Key, Stage, wait_until

CLAIM = "kill -9 of Redis, which {}: no row is lost or there twice, budgets hold"
KILLS = 5
AT_ONCE = 40
BUDGET = 50_000_000
ENOUGH = 10**9
HELD, ROOM, ASKED = 30, 7, 60
MAX_TOKENS = 500

Disaster = Callable[[Stage], None]


def show_emptied(stage: Stage, scale: float = 1.0) -> Report:
    return show(stage, scale, "comes back empty", _come_back_empty)


def show_rolled_back(stage: Stage, scale: float = 1.0) -> Report:
    return show(stage, scale, "comes back without its last second", _come_back_rolled_back)


def _come_back_empty(stage: Stage) -> None:
    stage.redis.kill()
    stage.redis.lose_everything()
    time.sleep(0.5)
    stage.redis.start()


def _come_back_rolled_back(stage: Stage) -> None:
    copy = stage.redis.copy()
    time.sleep(1)
    stage.redis.kill()
    stage.redis.go_back_to(copy)
    stage.redis.start()


def show(stage: Stage, scale: float, how: str, disaster: Disaster) -> Report:
    report = Report(CLAIM.format(how))
    kills = max(1, round(KILLS * scale))
    name = disaster.__name__.strip("_").replace("_", "-")
    keys = stage.make_cast(
        {"name": name, "budget": BUDGET, "users": [{"name": f"{name}-{user}", "keys": [{}, {}]} for user in range(2)]}
    )
    outcomes = asyncio.run(_ask_through(stage, keys, name, disaster, kills))
    books = Books(stage, keys)
    books.settle()
    rows = books.rows()
    check_rows(stage, outcomes, rows, report)
    report.differences += books.differences()
    report.expect(stage.manage("reconcile", check=False).returncode, 0, "exit code of reconcile")
    reservations_hold(stage, name, disaster, report)
    still_fit(stage, keys, BUDGET, report)
    statuses = Counter(outcome.status for outcome in outcomes if not outcome.hung_up)
    kinds = Counter(row.status for row in rows)
    report.figures = {
        "kills under load": kills,
        "requests, hang-ups among them": f"{len(outcomes):,}, {sum(each.hung_up for each in outcomes):,}",
        "refused while the ledger was away": f"{statuses[503]:,}",
        "usage rows": f"{len(rows):,}: " + ", ".join(f"{count:,} {status}" for status, count in kinds.most_common()),
        "tokens spent = rows = tallies": f"{sum(row.tokens for row in rows):,}",
        **report.figures,
    }
    return report


async def _ask_through(stage: Stage, keys: list[Key], name: str, disaster: Disaster, kills: int) -> list[Outcome]:
    """Ask without end while Redis is killed again and again, and a little longer."""
    over = threading.Event()

    def until_it_is_over() -> Iterator[Wish]:
        for wish in wishes(keys, ENOUGH, prefix=f"{name}-"):
            if over.is_set():
                return
            yield wish

    def kill_again_and_again() -> None:
        try:
            for _ in range(kills):
                time.sleep(2)
                disaster(stage)
                stage.redis.wait_until_open()
            time.sleep(2)
        finally:
            over.set()

    asking = Callers(stage.url).ask_all(until_it_is_over(), at_once=AT_ONCE)
    outcomes, _ = await asyncio.gather(asking, asyncio.to_thread(kill_again_and_again))
    return outcomes


def reservations_hold(stage: Stage, name: str, disaster: Disaster, report: Report) -> None:
    """What requests under way have reserved stands after the disaster: beside them, just so many more are admitted."""
    bound = len(orjson.dumps(_body(0, 0))) + MAX_TOKENS
    budget = bound * (HELD + ROOM)
    [key] = stage.make_cast(
        {"name": f"{name}-held", "budget": budget, "users": [{"name": f"{name}-held", "keys": [{}]}]}
    )
    requests = [Wish(f"g-{number:05}", key, _body(number, bound)) for number in range(HELD + ASKED)]
    outcomes = asyncio.run(_hold_through(stage, requests, disaster))
    books = Books(stage, [key])
    books.settle()
    admitted = sum(outcome.whole for outcome in outcomes) - HELD
    report.expect(admitted, ROOM, f"admitted beside {HELD} requests under way")
    report.expect(sum(row.tokens for row in books.rows()), budget, "tokens of a budget that is just spent")
    report.differences += books.differences()
    report.figures["requests under way at a kill"] = f"{HELD}, and room for {ROOM} of {ASKED} more: {admitted} admitted"


def _body(number: int, used: int) -> dict[str, Any]:
    return body_of(f"g-{number:05}", MAX_TOKENS, 0, used)


async def _hold_through(stage: Stage, requests: list[Wish], disaster: Disaster) -> list[Outcome]:
    """The first requests are held by the provider while Redis is killed; then come the others, all at once."""
    refused: list[Outcome] = []

    def heard(outcome: Outcome) -> None:
        if not outcome.whole:
            refused.append(outcome)

    def held(count: int) -> bool:
        return int(stage.ask_provider("/waiting")) + len(refused) == count

    callers, first, others = Callers(stage.url, patient=True), requests[:HELD], requests[HELD:]
    await asyncio.to_thread(stage.ask_provider, "/gate/closed", post=True)
    try:
        asking_first = asyncio.ensure_future(callers.ask_all(first, at_once=HELD))
        await asyncio.to_thread(wait_until, lambda: held(HELD), "the provider to hold the requests")
        await asyncio.to_thread(disaster, stage)
        await asyncio.to_thread(stage.redis.wait_until_open)
        asking_others = asyncio.ensure_future(callers.ask_all(others, at_once=ASKED, heard=heard))
        await asyncio.to_thread(wait_until, lambda: held(len(requests)), "all requests to be decided")
    finally:
        await asyncio.to_thread(stage.ask_provider, "/gate/open", post=True)
    return [*await asking_first, *await asking_others]
