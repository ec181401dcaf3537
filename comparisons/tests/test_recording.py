"""However a comparison ends, it ends stored."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from redis.exceptions import ConnectionError as RedisDown

from accounts.errors import PartUnavailable
from accounts.ledger import epoch, keys
from accounts.redis import Redis, sync_client
from comparisons.models import Answer, Comparison
from comparisons.recording import drain as recording, entry
from comparisons.recording.journal import FIELD, STREAM
from comparisons.tests import sse
from comparisons.tests.conftest import PROMPT
from comparisons.tests.rows import make_comparison
from conftest import Cast, Catalogue, live_gateway, wait_until
from proxy.models import Usage
from proxy.tests.fake_provider import Behaviour, FakeProvider, chunks, stream, then_hang

Ended = Callable[[str], dict[str, Any]]
Compare = Callable[..., httpx.Response]


def test_what_was_answered_is_what_is_stored(compare: Compare, catalogue: Catalogue, ended: Ended):
    catalogue.demo("echo")
    catalogue.demo("down")
    asked = compare(
        "demo/echo",
        {"model": "demo/down", "label": "never", "params": {"seed": 1}},
        title="Capitals",
        tags=["geo", "demo"],
        params={"temperature": 0},
    ).json()
    stored = ended(asked["id"])
    assert {name: stored[name] for name in asked} == {**asked, "tags": sorted(asked["tags"])}
    assert stored["messages"] == [{"role": "user", "content": PROMPT}]
    assert stored["params"] == {"temperature": 0}
    assert stored["answers"][1]["params"] == {"seed": 1}
    assert (stored["votes"], stored["notes"], stored["successors"]) == ([], [], [])


def test_reading_at_once_shows_it_running(
    http: httpx.Client, catalogue: Catalogue, provider: FakeProvider, ended: Ended
):
    catalogue.model("fake/quick")
    catalogue.model("fake/slow")
    go_on = threading.Event()
    provider.on("quick", stream(chunks("Paris")))
    provider.on("slow", _when(go_on))
    body = {"models": ["fake/quick", "fake/slow"], "prompt": PROMPT, "stream": True}
    with http.stream("POST", "/compare_models", json=body) as response:
        events = sse.read(response.iter_lines())
        created = next(events)
        stored = http.get(f"/v1/comparisons/{created.data['id']}").json()
        assert (stored["status"], stored["prompt"]) == ("running", PROMPT)
        go_on.set()
        assert [event.name for event in events][-1] == "comparison.done"
    assert ended(created.data["id"])["status"] == "complete"


def _when(event: threading.Event) -> Behaviour:
    async def behave(request: Any, asked: Any) -> Any:
        await asyncio.to_thread(event.wait, 10)
        return await stream(chunks("Lyon"))(request, asked)

    return behave


def test_nothing_is_kept_where_nothing_is_to_be_stored(
    compare: Compare, http: httpx.Client, catalogue: Catalogue, recorded: Callable[[int], list[Usage]]
):
    catalogue.demo("echo")
    asked = compare("demo/echo", "demo/echo", store=False).json()
    assert asked["status"] == "complete"
    assert len(recorded(2)) == 2
    assert http.get(f"/v1/comparisons/{asked['id']}").status_code == 404
    assert not Comparison.objects.exists()
    assert not sync_client().exists(STREAM)


# The caller hangs up ------------------------------------------------------------------------------------------------


def _hang_up_after_the_first_word(http: httpx.Client, **fields: Any) -> str:
    body = {"models": ["fake/one", "fake/two"], "prompt": PROMPT, "stream": True, **fields}
    with http.stream("POST", "/compare_models", json=body) as response:
        events = sse.read(response.iter_lines())
        created = next(events)
        while next(events).name != "answer.delta":
            pass
    comparison_id: str = created.data["id"]
    return comparison_id


def test_a_comparison_finishes_without_its_caller(
    http: httpx.Client, catalogue: Catalogue, provider: FakeProvider, ended: Ended
):
    for name in ("one", "two"):
        catalogue.model(f"fake/{name}")
        provider.on(name, stream(chunks("Par", "is", "!"), pause_s=0.1))
    stored = ended(_hang_up_after_the_first_word(http))
    assert stored["status"] == "complete"
    assert [each["content"] for each in stored["answers"]] == ["Paris!", "Paris!"]


def test_a_whole_answer_is_stored_for_a_caller_who_has_gone(
    http: httpx.Client, catalogue: Catalogue, provider: FakeProvider, ended: Ended
):
    catalogue.model("fake/one")
    provider.on("one", stream(chunks("Par", "is"), pause_s=0.2))
    with pytest.raises(httpx.ReadTimeout):
        http.post("/compare_models", json={"models": ["fake/one"] * 2, "prompt": PROMPT}, timeout=0.3)
    wait_until(Comparison.objects.exists, "the comparison")
    assert ended(Comparison.objects.get().pk)["status"] == "complete"


def test_a_caller_may_take_the_comparison_along(
    http: httpx.Client,
    catalogue: Catalogue,
    provider: FakeProvider,
    ended: Ended,
    recorded: Callable[[int], list[Usage]],
):
    for name in ("one", "two"):
        catalogue.model(f"fake/{name}")
        provider.on(name, then_hang(chunks("Par", "is")[:2]))
    provider.on("two", stream(chunks("Lyon")))
    stored = ended(_hang_up_after_the_first_word(http, on_disconnect="cancel"))
    assert stored["status"] == "interrupted"
    by_model = {each["requested_model"]: each for each in stored["answers"]}
    assert by_model["fake/one"]["status"] == "interrupted"
    assert by_model["fake/one"]["error"]["code"] == "interrupted"
    hanging = next(each for each in provider.received if each.body["model"] == "one")
    assert hanging.hung_up.wait(5)
    assert {row.requested_model: row.status for row in recorded(2)}["fake/one"] == "client_closed"


# What may go wrong with the recording -------------------------------------------------------------------------------


def test_without_redis_the_result_goes_into_the_database(
    compare: Compare, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
):
    catalogue.demo("echo")
    execute = Redis.execute

    def away(redis: Redis, *command: Any) -> Any:
        if command[:2] == ("XADD", STREAM):
            raise RedisDown
        return execute(redis, *command)

    monkeypatch.setattr(Redis, "execute", away)
    asked = compare("demo/echo", "demo/echo").json()
    wait_until(lambda: Comparison.objects.get(pk=asked["id"]).status == "complete", "the result")
    assert {answer.content for answer in Answer.objects.all()} == {PROMPT}


def test_without_the_database_the_rows_are_made_later(
    compare: Compare, catalogue: Catalogue, ended: Ended, monkeypatch: pytest.MonkeyPatch
):
    catalogue.demo("echo")

    async def away(function: Any, *arguments: Any) -> Any:
        raise PartUnavailable("No.")

    with monkeypatch.context() as outage:
        outage.setattr("comparisons.run.run_sql", away)
        asked = compare("demo/echo", "demo/echo", tags=["late"]).json()
    assert not Comparison.objects.exists()
    recording.drain()
    stored = ended(asked["id"])
    assert (stored["status"], stored["tags"]) == ("complete", ["late"])
    assert [each["content"] for each in stored["answers"]] == [PROMPT, PROMPT]


def test_to_write_twice_changes_nothing(compare: Compare, catalogue: Catalogue, ended: Ended):
    catalogue.demo("echo")
    asked = compare("demo/echo", "demo/echo").json()
    found: Any = sync_client().xrange(STREAM)
    first = ended(asked["id"])
    for _, fields in found:
        sync_client().xadd(STREAM, fields)
    assert len(found) == recording.drain()
    assert ended(asked["id"]) == first
    assert Answer.objects.count() == 2


def test_a_comparison_outlives_its_author_and_what_it_runs_again(cast: Cast):
    first = make_comparison(cast.bob.user, "a/one", "b/two")
    second = make_comparison(cast.bob.user, "a/one", "b/two", successor_of=first)
    waiting = entry.created(second, list(second.answers.all()), ["geo"])
    Comparison.objects.all().delete()
    cast.bob.user.delete()
    entry.write(waiting)
    written = Comparison.objects.get()
    assert (written.pk, written.author_id, written.author_name) == (second.pk, None, "bob")
    assert written.successor_of_id is None
    assert written.answers.count() == 2


def test_an_entry_that_cannot_be_written_holds_up_nothing(compare: Compare, catalogue: Catalogue, ended: Ended):
    catalogue.demo("echo")
    for broken in (b"{", b"{}", b'{"comparison": "cmp_1", "ended": {"status": null}, "answer": {}}', b"[]"):
        sync_client().xadd(STREAM, {FIELD: broken})
    asked = compare("demo/echo", "demo/echo").json()
    assert ended(asked["id"])["status"] == "complete"
    assert sync_client().xlen(recording.REFUSED) == 4
    assert sync_client().xlen(STREAM) == 0


def test_a_deleted_comparison_stays_deleted(compare: Compare, catalogue: Catalogue):
    catalogue.demo("echo")
    compare("demo/echo", "demo/echo")
    Comparison.objects.all().delete()
    recording.drain()
    assert not Comparison.objects.exists()
    assert not sync_client().exists(recording.REFUSED)


def test_what_postgres_cannot_hold_is_stored_without_it(
    compare: Compare, catalogue: Catalogue, provider: FakeProvider, ended: Ended
):
    catalogue.model("fake/one")
    provider.on("one", stream(chunks("Pa\0ris", "\\u0000")))
    asked = compare("fake/one", "fake/one").json()
    stored = ended(asked["id"])
    assert stored["status"] == "complete"
    assert stored["answers"][0]["content"] == "Pa\ufffdris\\u0000"


# Processes that die -------------------------------------------------------------------------------------------------


def _left_behind(cast: Cast, *statuses: str) -> Comparison:
    comparison = Comparison.objects.create(tenant=cast.acme, prompt="Hi", process="dead-1")
    for slot, status in enumerate(statuses):
        Answer.objects.create(comparison=comparison, slot=slot, label="x", requested_model="m", status=status)
    return comparison


@pytest.fixture
def open_ledger() -> None:
    """Long enough for everyone to have had a heartbeat."""
    epoch.begin({}, grace_ms=-60_000)


@pytest.mark.parametrize(
    ("statuses", "ends", "answers"),
    [
        (["ok", "running"], "interrupted", ["ok", "interrupted"]),
        (["running", "running"], "interrupted", ["interrupted", "interrupted"]),
        (["ok", "ok"], "complete", ["ok", "ok"]),
        (["ok", "error"], "partial", ["ok", "error"]),
    ],
)
def test_what_a_dead_process_left_behind_ends(
    statuses: list[str], ends: str, answers: list[str], cast: Cast, open_ledger: None
):
    comparison = _left_behind(cast, *statuses)
    assert recording.sweep() == 1
    comparison.refresh_from_db()
    assert comparison.status == ends
    assert comparison.finished_at is not None
    assert list(comparison.answers.values_list("status", flat=True)) == answers
    assert recording.sweep() == 0


def test_finished_slots_that_wait_in_the_stream_are_kept(cast: Cast, open_ledger: None):
    comparison = _left_behind(cast, "running", "running")
    first = comparison.answers.get(slot=0)
    first.status, first.content = "ok", "Paris"
    sync_client().xadd(STREAM, {FIELD: entry.answered(first)})
    recording.sweep()
    assert list(comparison.answers.values_list("status", "content")) == [("ok", "Paris"), ("interrupted", "")]


def test_a_living_process_is_left_alone(cast: Cast, open_ledger: None):
    _left_behind(cast, "running")
    sync_client().zadd(keys.PROCESSES, {"dead-1": sync_client().time()[0]})
    assert recording.sweep() == 0


def test_nobody_is_taken_for_dead_while_the_ledger_is_closed(cast: Cast):
    _left_behind(cast, "running")
    epoch.end()
    assert recording.sweep() == 0


def test_an_end_that_arrives_late_still_counts(cast: Cast, open_ledger: None):
    comparison = _left_behind(cast, "running")
    answer = comparison.answers.get()
    recording.sweep()
    answer.status, answer.content = "ok", "Paris"
    comparison.end([answer])
    for raw in (entry.answered(answer), entry.ended(comparison)):
        sync_client().xadd(STREAM, {FIELD: raw})
    recording.drain()
    comparison.refresh_from_db()
    assert (comparison.status, comparison.answers.get().content) == ("complete", "Paris")


def test_a_stop_of_the_gateway_interrupts_what_does_not_end(
    transactional_db: None, catalogue: Catalogue, provider: FakeProvider, cast: Cast
):
    catalogue.model("fake/one")
    provider.on("one", then_hang(chunks("Par", "is")[:2]))
    with live_gateway() as gateway, httpx.Client(base_url=gateway.url, headers=cast.alice.headers) as http:
        body = {"models": ["fake/one"] * 2, "prompt": PROMPT, "stream": True}
        with http.stream("POST", "/compare_models", json=body) as response:
            for event in sse.read(response.iter_lines()):
                if event.name == "answer.delta":
                    break
    recording.drain()
    comparison = Comparison.objects.get()
    assert comparison.status == "interrupted"
    assert {answer.status for answer in comparison.answers.all()} == {"interrupted"}
