"""Clients that hang up and providers that fail leave no token uncounted."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.exactness.books import Books, Row, Watch
from benchmarks.exactness.callers import Callers, Outcome, Wish, chat
from benchmarks.exactness.report import Report
from benchmarks.exactness.stage import Key, Stage

CLAIM = "Hang-ups and failing providers: every accepted request has one row, and the books agree"
REQUESTS = 20_000
AT_ONCE = 150
HANG_UPS = 0.3
FAILURES = 0.1
MAX_TOKENS = 64
# Refused before anything was asked: these must leave no row.
REFUSALS = {"insufficient_quota", "budget_reserved", "ledger_unavailable"}


def show(stage: Stage, scale: float = 1.0) -> Report:
    report = Report(CLAIM)
    requests = round(REQUESTS * scale)
    # An average request uses about 300 tokens: the first tenant's budget is gone before the end.
    budget = requests * 40
    keys = stage.make_cast(*(_tenant(number, None if number else budget) for number in range(3)))
    with Watch(stage, {("tenant", str(keys[0].tenant_id)): budget}) as watch:
        outcomes = asyncio.run(Callers(stage.url).ask_all(wishes(keys, requests), at_once=AT_ONCE))
        books = Books(stage, keys)
        books.settle()
    rows = books.rows()
    check_rows(stage, outcomes, rows, report)
    report.differences += [*watch.over, *books.differences()]
    kinds = Counter(row.status for row in rows)
    report.figures = {
        "requests, streams among them": f"{requests:,}, {sum('stream' in each.wish.body for each in outcomes):,}",
        "clients that hung up": f"{sum(each.hung_up for each in outcomes):,}",
        "answered whole": f"{sum(each.whole for each in outcomes):,}",
        "refused by the budget": f"{sum(each.code in REFUSALS for each in outcomes):,}",
        "provider calls, failed or cut": _calls(stage),
        "usage rows": f"{len(rows):,}: " + ", ".join(f"{count:,} {status}" for status, count in kinds.most_common()),
        "samples of spent + reserved": f"{watch.samples:,}, the highest at {watch.highest:.2%} of the limit",
        "tokens spent = rows = tallies": f"{sum(row.tokens for row in rows):,}",
    }
    return report


def _tenant(number: int, budget: int | None) -> dict[str, object]:
    users = [{"name": f"hangups-{number}-{user}", "keys": [{}, {}]} for user in range(2)]
    return {"name": f"hangups-{number}", "budget": budget, "users": users}


def wishes(keys: list[Key], requests: int, prefix: str = "h") -> Iterator[Wish]:
    """Streams and whole answers of providers that fail now and then, for clients who hang up now and then."""
    for number in range(requests):
        name, words, is_stream = f"{prefix}{number:06}", random.randint(1, 40), random.random() < 0.5
        pause_s = random.uniform(0, 0.004 if is_stream else 0.1)
        asked = random.randint(5, 250)  # words, each a token: as many as the provider reports, and never more
        script = {"id": name, "prompt_tokens": asked, "completion_tokens": words, "pause_s": pause_s}
        prompt = "word " * asked
        body = chat(
            {**script, "failing": FAILURES}, model="pair", stream=is_stream, max_tokens=MAX_TOKENS, prompt=prompt
        )
        wish = Wish(name, random.choice(keys), body)
        yield _hanging_up(wish, words, pause_s) if random.random() < HANG_UPS else wish


def _hanging_up(wish: Wish, words: int, pause_s: float) -> Wish:
    """At any moment: before the answer, within it, at its very end."""
    is_stream = "stream" in wish.body
    if is_stream and random.random() < 0.5:
        return replace(wish, hang_up_words=random.randint(0, words))
    return replace(wish, hang_up_s=random.uniform(0, pause_s * (words if is_stream else 1) + 0.03))


def check_rows(stage: Stage, outcomes: list[Outcome], rows: list[Row], report: Report) -> None:
    """Each accepted request has exactly one row, a refused one none; a whole answer costs what was reported."""
    by_name = {row.tags[0]: row for row in rows}
    report.expect(len(by_name), len(rows), "rows against requests with a row")
    asked = {call["id"] for call in stage.ask_provider("/journal")}
    for outcome in outcomes:
        name, row = outcome.wish.id, by_name.get(outcome.wish.id)
        # Whoever hung up before any word may have been accepted or not; if a provider was asked, then accepted.
        accepted = name in asked or outcome.status in {200, 502, 504}
        if (accepted and row is None) or (row is not None and outcome.code in REFUSALS):
            report.differences.append(f"{name}: status {outcome.status}, row {row}")
        if row and outcome.request_id:
            report.expect(row.request_id, outcome.request_id, f"{name}: request id")
        if row and outcome.whole:
            script = outcome.wish.body["script"]
            report.expect(row.tokens, script["prompt_tokens"] + script["completion_tokens"], f"{name}: tokens")


def _calls(stage: Stage) -> str:
    calls = [call for call in stage.ask_provider("/journal") if call["id"].startswith("h")]
    failed = sum(call["outcome"] in {"failed", "cut"} for call in calls)
    return f"{len(calls):,}, {failed:,} ({failed / len(calls):.1%})"
