"""A budget that fits exactly K of many parallel requests admits K."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

import orjson

from benchmarks.exactness.books import Books, Watch
from benchmarks.exactness.callers import Callers, Outcome, Wish, chat
from benchmarks.exactness.report import Report
from benchmarks.exactness.stage import Key, Stage, wait_until

CLAIM = "A budget that fits exactly K of many parallel requests admits K"
REQUESTS = 1000
ROUNDS = 20
SCOPES = ("tenant", "user", "key")


@dataclass(frozen=True)
class Round:
    """One budget, and what is asked of it. `held`: the provider answers only when all requests are decided, and then
    uses less than was reserved; else it answers at once, and uses just what was reserved. `room` is K; `bound`: what
    one request reserves, in tokens.
    """

    number: int
    scope: str
    room: int
    limit: int
    bound: int
    padding: int
    max_tokens: int
    held: bool


@dataclass(frozen=True)
class Played:
    """What became of a round."""

    round: Round
    keys: list[Key]
    outcomes: list[Outcome]
    watch: Watch


def show(stage: Stage, scale: float = 1.0) -> Report:
    report = Report(CLAIM)
    requests = max(8, round(REQUESTS * scale))
    rounds = [plan(number, requests) for number in range(ROUNDS)]
    keys = stage.make_cast(*map(tenant_of, rounds))
    played = [play(stage, round_, keys[4 * round_.number :][:4], requests) for round_ in rounds]
    Books(stage, keys).settle()
    journal = {call["id"]: call for call in stage.ask_provider("/journal")}
    for each in played:
        check(stage, each, journal, report)
    refused = Counter(outcome.code for each in played for outcome in each.outcomes if not outcome.whole)
    report.figures = {
        "rounds, requests in each": f"{ROUNDS}, {requests:,}",
        "K, from and to": f"{min(each.room for each in rounds)} to {max(each.room for each in rounds)}",
        "sum of all K": f"{sum(each.room for each in rounds):,}",
        "admitted": f"{sum(outcome.whole for each in played for outcome in each.outcomes):,}",
        "refused": ", ".join(f"{count:,} {code}" for code, count in sorted(refused.items())),
        "samples of spent + reserved": f"{sum(each.watch.samples for each in played):,}",
        "the highest sample": f"{max(each.watch.highest for each in played):.2%} of the limit",
        "tokens spent = rows = journal": f"{sum(row.tokens for row in Books(stage, keys).rows()):,}",
    }
    return report


def plan(number: int, requests: int) -> Round:
    """K, sizes and the unused rest of the limit at random; scopes and both ways in turn."""
    max_tokens, padding, room = random.randint(1, 2000), random.randint(0, 4000), random.randint(1, requests - 1)
    bound = len(orjson.dumps(body_of("b0000-000000", max_tokens, padding, used=0))) + max_tokens
    # Less than any request can be estimated at: no bound, however close, lets one more through.
    rest = random.randint(0, max_tokens)
    return Round(number, SCOPES[number % 3], room, room * bound + rest, bound, padding, max_tokens, bool(number % 2))


def body_of(name: str, max_tokens: int, padding: int, used: int) -> dict[str, Any]:
    """As large for every request of a round: its bytes are what is reserved for the prompt. `used`: to be reported."""
    completion = min(used, max_tokens)
    script = {"id": name, "prompt_tokens": f"{used - completion:07}", "completion_tokens": f"{completion:07}"}
    return chat(script, max_tokens=max_tokens, prompt="x" * padding)


def tenant_of(round_: Round) -> dict[str, Any]:
    """Two users with two keys each; the budget is on one of them all."""
    name = f"budget-{round_.number}"

    def budget(scope: str, *, here: bool = True) -> dict[str, int]:
        return {"budget": round_.limit} if here and round_.scope == scope else {}

    users = [
        {"name": f"{name}-{user}", **budget("user", here=not user), "keys": [budget("key", here=not user), {}]}
        for user in range(2)
    ]
    return {"name": name, **budget("tenant"), "users": users}


def play(stage: Stage, round_: Round, keys: list[Key], requests: int) -> Played:
    """All requests at once, by every key that the budget is for."""
    keys = {"tenant": keys, "user": keys[:2], "key": keys[:1]}[round_.scope]
    subject = {"tenant": keys[0].tenant_id, "user": keys[0].user_id, "key": keys[0].key_id}[round_.scope]
    wishes = []
    for number in range(requests):
        name = f"b{round_.number:04}-{number:06}"
        used = random.randint(round_.bound // 2, round_.bound) if round_.held else round_.bound
        wishes.append(Wish(name, random.choice(keys), body_of(name, round_.max_tokens, round_.padding, used)))
    with Watch(stage, {(round_.scope, str(subject)): round_.limit}) as watch:
        outcomes = asyncio.run(ask(stage, wishes, held=round_.held))
    return Played(round_, keys, outcomes, watch)


async def ask(stage: Stage, wishes: list[Wish], *, held: bool) -> list[Outcome]:
    refused: list[Outcome] = []
    if held:
        await asyncio.to_thread(stage.ask_provider, "/gate/closed", post=True)

    def heard(outcome: Outcome) -> None:
        if not outcome.whole:
            refused.append(outcome)

    async def open_gate() -> None:
        def decided() -> bool:
            return int(stage.ask_provider("/waiting")) + len(refused) == len(wishes)

        try:
            await asyncio.to_thread(wait_until, decided, "every request to be decided")
        finally:
            await asyncio.to_thread(stage.ask_provider, "/gate/open", post=True)

    asking = Callers(stage.url, patient=True).ask_all(wishes, at_once=len(wishes), heard=heard)
    outcomes, _ = await asyncio.gather(asking, open_gate() if held else asyncio.sleep(0))
    return outcomes


def check(stage: Stage, played: Played, journal: dict[str, Any], report: Report) -> None:
    """K were admitted, never more was used than the limit; spent, rows, tallies and the journal agree."""
    round_, books = played.round, Books(stage, played.keys)
    where = f"round {round_.number} ({round_.scope}, {'held' if round_.held else 'at once'})"
    answered = [outcome for outcome in played.outcomes if outcome.whole]
    rows = books.rows()
    served = sum(
        call["prompt_tokens"] + call["completion_tokens"]
        for outcome in played.outcomes
        if (call := journal.get(outcome.wish.id))
    )
    report.expect(len(answered), round_.room, f"{where}: admitted")
    report.expect(sum(row.tokens for row in rows), served, f"{where}: tokens of the rows against the journal")
    report.expect(
        sorted(row.request_id for row in rows) == sorted(outcome.request_id for outcome in answered),
        True,
        f"{where}: one row for each answer",
    )
    report.differences += [f"{where}: {each}" for each in (*played.watch.over, *books.differences())]
