"""`kill -9` of the Celery worker in the middle of a batch.

Two moments matter, and both are made sure of: while the rows are being written (a lock on their table keeps the drainer
waiting), and after the rows are committed but before their entries leave the stream (Redis is told to pause writes).
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from benchmarks.exactness.books import STREAM, Books
from benchmarks.exactness.callers import Callers, Outcome, Wish, chat
from benchmarks.exactness.cases.hang_ups import check_rows
from benchmarks.exactness.report import Report
from benchmarks.exactness.stage import Key, Stage, wait_until

CLAIM = "kill -9 of the worker in mid-batch: no row is lost, none is there twice"
REQUESTS = 2000
AT_ONCE = 50
LONGEST_PAUSE_MS = 60_000


def show(stage: Stage, scale: float = 1.0) -> Report:
    report = Report(CLAIM)
    requests = max(20, round(REQUESTS * scale) // 4)
    [key] = stage.make_cast({"name": "worker-killed", "users": [{"name": "worker-killed", "keys": [{}]}]})
    books, outcomes = Books(stage, [key]), list[Outcome]()
    worker, redis = stage.processes["worker"], stage.redis.client

    with _drainer_waiting(stage):
        outcomes += _ask(stage, key, "k1", requests)
        _wait_for_drainer(stage)
        worker.kill()
    outcomes += _ask(stage, key, "k2", requests)
    report.expect(len(books.rows()), 0, "rows of the batch that was interrupted")
    worker.start()
    books.settle()

    with _drainer_waiting(stage) as let_go:
        outcomes += _ask(stage, key, "k3", requests)
        _wait_for_drainer(stage)
        redis.client_pause(LONGEST_PAUSE_MS, all=False)
        let_go()
        wait_until(lambda: len(books.rows()) > 2 * requests, "the batch to be committed")
        waiting, committed = int(redis.xlen(STREAM)), len(books.rows()) - 2 * requests
        worker.kill()
        redis.client_unpause()
    report.expect(waiting >= committed, True, "committed entries are still in the stream")
    outcomes += _ask(stage, key, "k4", requests)
    worker.start()
    books.settle()

    rows = books.rows()
    check_rows(stage, outcomes, rows, report)
    report.expect(len(rows), len(outcomes), "rows")
    report.differences += books.differences()
    report.expect(stage.manage("reconcile", check=False).returncode, 0, "exit code of reconcile")
    report.figures = {
        "requests": f"{len(outcomes):,}",
        "kills": f"1 with {requests:,} rows being written, 1 with {committed:,} committed and still in the stream",
        "usage rows": f"{len(rows):,}",
        "tokens spent = rows = tallies": f"{sum(row.tokens for row in rows):,}",
    }
    return report


def _ask(stage: Stage, key: Key, prefix: str, requests: int) -> list[Outcome]:
    names = (f"{prefix}-{number:05}" for number in range(requests))
    wishes = [Wish(name, key, chat({"id": name, "prompt_tokens": 7, "completion_tokens": 3})) for name in names]
    return asyncio.run(Callers(stage.url).ask_all(wishes, at_once=AT_ONCE))


@contextmanager
def _drainer_waiting(stage: Stage) -> Iterator[Callable[[], None]]:
    """While this lasts, or until the yielded function is called, no usage row can be written; they can be read."""
    with psycopg.connect(stage.database_url) as connection:
        connection.execute("LOCK TABLE proxy_usage IN EXCLUSIVE MODE")
        yield connection.rollback


def _wait_for_drainer(stage: Stage) -> None:
    waiting = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
        "AND query LIKE 'INSERT INTO%proxy_usage%'"
    )
    wait_until(lambda: bool(stage.sql.execute(waiting).fetchone()), "the drainer to write its batch")
