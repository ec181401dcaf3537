"""While the database is away: verdicts stand for a minute, and nobody waits for it but who finds out."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection

from accounts import credentials, sql
from accounts.callers import Caller
from accounts.credentials import Credentials
from accounts.errors import InvalidCredential, PartUnavailable
from accounts.models.api_key import generate_key

ALICE = Caller(1, "acme", "UTC", 1, "alice", "")
KNOWN, UNKNOWN = generate_key(), generate_key()


class Database:
    """Knows one key, and is there or not."""

    def __init__(self) -> None:
        self.is_away = False
        self.asked = 0
        self.holder: Caller | None = ALICE

    def caller_of(self, key: str) -> Caller | None:
        self.asked += 1
        if self.is_away:
            raise OperationalError("refused")
        return self.holder if key == KNOWN else None


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    database = Database()
    monkeypatch.setattr(credentials, "_caller_of_key", database.caller_of)
    return database


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(sql, "time", clock)
    sql.health.forget()
    return clock


async def show(verdicts: Credentials, key: str = KNOWN) -> Caller:
    return await verdicts.authenticate({"x-api-key": key}, "192.0.2.1")


async def test_known_keys_go_on_for_a_minute_and_then_nobody_knows(database: Database, clock: SimpleNamespace):
    verdicts = Credentials()
    assert await show(verdicts) == ALICE
    database.is_away = True
    clock.now += 60
    assert await show(verdicts) == ALICE
    clock.now += 1
    with pytest.raises(PartUnavailable) as refusal:
        await show(verdicts)
    assert refusal.value.status == 503
    assert int(refusal.value.headers["Retry-After"]) >= 1


async def test_unknown_keys_are_asked_to_come_again_and_never_called_wrong(database: Database, clock: SimpleNamespace):
    verdicts = Credentials()
    database.is_away = True
    for key in (UNKNOWN, KNOWN):
        with pytest.raises(PartUnavailable):
            await show(verdicts, key)
    with pytest.raises(InvalidCredential):
        await show(verdicts, "gw_live_garbage")
    database.is_away = False
    clock.now += 2
    with pytest.raises(InvalidCredential):
        await show(verdicts, UNKNOWN)


async def test_what_was_revoked_meanwhile_is_refused_when_the_database_is_back(
    database: Database, clock: SimpleNamespace
):
    verdicts = Credentials()
    await show(verdicts)
    database.is_away, database.holder = True, None
    clock.now += 100
    with pytest.raises(PartUnavailable):
        await show(verdicts)
    database.is_away = False
    clock.now += 2
    with pytest.raises(InvalidCredential):
        await show(verdicts)


async def test_any_answer_of_the_database_lets_verdicts_stand(database: Database, clock: SimpleNamespace):
    """The look for a new configuration, once a second, would have told of a revoked key."""
    verdicts = Credentials()
    await show(verdicts)
    for _ in range(5):
        clock.now += 50
        await sql.run_sql(lambda: None)
        assert await show(verdicts) == ALICE
    assert database.asked == 1


async def test_while_it_is_away_it_is_asked_once_a_second(database: Database, clock: SimpleNamespace):
    verdicts = Credentials()
    database.is_away = True
    for _ in range(10):
        with pytest.raises(PartUnavailable):
            await show(verdicts, UNKNOWN)
    assert database.asked == 1
    clock.now += 1
    with pytest.raises(PartUnavailable):
        await show(verdicts, UNKNOWN)
    assert database.asked == 2


@pytest.mark.django_db(transaction=True)
async def test_queries_that_take_long_are_refused_and_nobody_else_is(monkeypatch: pytest.MonkeyPatch):
    sql.health.forget()
    release = threading.Event()
    with monkeypatch.context() as impatient:
        impatient.setattr(sql, "TIMEOUT_S", 0.05)
        queries = [sql.run_query(release.wait, 60) for _ in range(10)]  # more than there are threads for them
        refusals = await asyncio.gather(*queries, return_exceptions=True)
    assert [str(refusal) for refusal in refusals] == [sql.TOO_LONG] * 10
    assert await sql.run_sql(lambda: "here") == "here"
    release.set()
    assert await sql.run_query(lambda: "here") == "here"


def statement_timeout() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return str(cursor.fetchone()[0])


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
async def test_postgres_gives_up_a_query_that_nobody_waits_for_any_more():
    usual = await sql.run_sql(statement_timeout)
    assert await sql.run_query(statement_timeout) == "5s"
    assert [await sql.run_sql(statement_timeout) for _ in range(3)] == [usual] * 3
