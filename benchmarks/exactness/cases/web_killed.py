"""`kill -9` of a web process in the middle of its streams."""

import asyncio
import os
import random
import signal
import statistics
from collections import Counter
from typing import Any

from benchmarks.exactness.books import Books, Row, Watch
from benchmarks.exactness.callers import Callers, Outcome, Wish, chat
from benchmarks.exactness.cases.room import still_fit
from benchmarks.exactness.report import Report
from benchmarks.exactness.stage import PROCESSES, RESERVATIONS_OF, Stage, wait_until

CLAIM = "kill -9 of a web process in mid-stream: its streams are recorded and billed, within 256 tokens"
STREAMS = 120
FEWEST = 16
WORDS = 1100
PAUSE_S = 0.004
MAX_TOKENS = 2000
KILLED_AFTER = (300, 1000)
MOST_UNBILLED = 256
BUDGET = 4_000_000


def show(stage: Stage, scale: float = 1.0) -> Report:
    report = Report(CLAIM)
    streams = max(FEWEST, round(STREAMS * scale))
    [key] = stage.make_cast({"name": "web-killed", "budget": BUDGET, "users": [{"name": "web-killed", "keys": [{}]}]})
    wishes = [
        Wish(f"w{number:04}", key, chat(_script(f"w{number:04}"), stream=True, max_tokens=MAX_TOKENS))
        for number in range(streams)
    ]
    with Watch(stage, {("tenant", str(key.tenant_id)): BUDGET}) as watch:
        outcomes, victim = asyncio.run(_ask_and_kill(stage, wishes))
        if scale < 1:  # a small run does not wait until the silence is noticed
            stage.redis.client.zadd(PROCESSES, {victim: 1}, xx=True)
        books = Books(stage, [key])
        books.settle()
    rows = {row.tags[0]: row for row in books.rows()}
    _check(stage, outcomes, rows, report)
    report.differences += [*watch.over, *books.differences()]
    report.expect(stage.manage("reconcile", check=False).returncode, 0, "exit code of reconcile")
    wait_until(lambda: len(stage.web_processes) >= stage.workers, "the killed web process to be replaced")
    still_fit(stage, [key], BUDGET, report)
    unbilled = [each.words - rows[each.wish.id].completion_tokens for each in _broken(outcomes) if each.wish.id in rows]
    statuses = Counter(row.status for row in rows.values())
    report.figures = {
        "open streams, broken by the kill": f"{streams}, {len(unbilled)}",
        "usage rows": f"{len(rows):,}: " + ", ".join(f"{count} {status}" for status, count in statuses.most_common()),
        "unbilled tokens of a broken stream": f"at most {max(unbilled)}, {statistics.mean(unbilled):.0f} on average",
        "samples of spent + reserved": f"{watch.samples:,}, {len(watch.over)} above the limit",
        **report.figures,
    }
    return report


def _script(name: str) -> dict[str, Any]:
    return {"id": name, "prompt_tokens": 20, "completion_tokens": WORDS, "pause_s": PAUSE_S}


async def _ask_and_kill(stage: Stage, wishes: list[Wish]) -> tuple[list[Outcome], str]:
    """Ask for all streams; at a random moment after the first checkpoints, kill the process that has the most."""
    killed_after = random.randint(*KILLED_AFTER)

    def in_the_middle() -> bool:
        words = [call["words"] for call in stage.ask_provider("/journal") if call["id"].startswith("w")]
        return len(words) == len(wishes) and statistics.median(words) > killed_after

    asking = asyncio.ensure_future(Callers(stage.url).ask_all(wishes, at_once=len(wishes)))
    await asyncio.to_thread(wait_until, in_the_middle, "the streams to be in their middle")
    victim = await asyncio.to_thread(_kill_busiest, stage)
    return await asking, victim


def _kill_busiest(stage: Stage) -> str:
    redis, processes = stage.redis.client, stage.web_processes
    victim = max(processes, key=lambda name: redis.scard(RESERVATIONS_OF + name))
    os.kill(processes[victim], signal.SIGKILL)
    return victim


def _broken(outcomes: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if not outcome.whole]


def _check(stage: Stage, outcomes: list[Outcome], rows: dict[str, Row], report: Report) -> None:
    written = {call["id"]: call["words"] for call in stage.ask_provider("/journal")}
    report.expect(bool(_broken(outcomes)), True, "streams were broken")
    for outcome in outcomes:
        name = outcome.wish.id
        row = rows.get(name)
        if row is None:
            report.differences.append(f"{name}: no row")
            continue
        report.expect(row.status, "ok" if outcome.whole else "crashed", f"{name}: status")
        if not outcome.whole and not outcome.words - MOST_UNBILLED <= row.completion_tokens <= written[name]:
            report.differences.append(
                f"{name}: {outcome.words} tokens heard, {written[name]} written, {row.completion_tokens} billed"
            )
