"""A comparison as one stream of named events."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from comparisons.tests import sse
from comparisons.tests.conftest import PROMPT
from conftest import Catalogue
from proxy.tests.fake_provider import FakeProvider, chunk, chunks, error, stream

Ended = Callable[[str], dict[str, Any]]


def ask(http: httpx.Client, *models: Any, **fields: Any) -> list[sse.Named]:
    body = {"models": models, "prompt": PROMPT, "stream": True, **fields}
    with http.stream("POST", "/compare_models", json=body) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(sse.read(response.iter_lines()))


def test_all_slots_come_in_one_stream_in_the_order_of_its_numbers(
    http: httpx.Client, catalogue: Catalogue, provider: FakeProvider, ended: Ended
):
    catalogue.model("fake/one")
    catalogue.model("fake/two")
    provider.on("one", stream(chunks("Par", "is", usage=(7, 2)), pause_s=0.01))
    provider.on("two", error(429, "rate_limit_exceeded"))
    events = ask(http, "fake/one", "fake/two")
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    assert events[0].name == "comparison.created"
    assert (events[0].data["status"], len(events[0].data["answers"])) == ("running", 2)
    started = {event.data["slot"] for event in events if event.name == "answer.started"}
    assert started == {0, 1}
    told = "".join(event.data["delta"] for event in events if event.name == "answer.delta" and event.data["slot"] == 0)
    [done] = [event.data for event in events if event.name == "answer.done"]
    assert told == done["content"] == "Paris"
    assert (done["slot"], done["status"], done["usage"]["completion_tokens"]) == (0, "ok", 2)
    [failed] = [event.data for event in events if event.name == "answer.error"]
    assert (failed["slot"], failed["error"]["status"], failed["error"]["code"]) == (1, 429, "rate_limit_exceeded")
    assert events[-1].name == "comparison.done"
    assert (events[-1].data["status"], events[-1].data["summary"]["ok"]) == ("partial", 1)
    assert ended(events[0].data["id"])["status"] == "partial"


def test_what_a_model_thinks_is_told_beside_what_it_says(
    http: httpx.Client, catalogue: Catalogue, provider: FakeProvider
):
    catalogue.model("fake/one")
    thought = chunk({"reasoning_content": "Hm, "}), chunk({"reasoning_content": "easy."})
    provider.on("one", stream([*thought, *chunks("Paris")]))
    events = ask(http, "fake/one", "fake/one")
    deltas = [event.data for event in events if event.name == "answer.delta" and event.data["slot"] == 0]
    assert "".join(delta.get("reasoning", "") for delta in deltas) == "Hm, easy."
    assert "".join(delta["delta"] for delta in deltas) == "Paris"
    [done, _] = [event.data for event in events if event.name == "answer.done"]
    assert done["response"]["choices"][0]["message"]["reasoning_content"] == "Hm, easy."


def test_who_does_not_keep_up_is_told_so_and_loses_nothing(
    http: httpx.Client, catalogue: Catalogue, provider: FakeProvider, ended: Ended, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("comparisons.run.MOST_STEPS", 3)
    catalogue.model("fake/one")
    provider.on("one", stream(chunks("Paris")))
    events = ask(http, *["fake/one"] * 4)  # which all start before anybody can read
    assert (events[-1].name, events[-1].data["error"]["code"]) == ("error", "read_too_slowly")
    [stored] = http.get("/v1/comparisons").json()["data"]
    assert stored["id"] in events[-1].data["error"]["message"]
    assert [answer["content"] for answer in ended(stored["id"])["answers"]] == ["Paris"] * 4
    body = {"model": f"compare:{','.join(['fake/one'] * 4)}", "messages": [{"role": "user", "content": PROMPT}]}
    with http.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as chat:
        lines = [line for line in chat.iter_lines() if line.startswith("data: ")]
    assert "read_too_slowly" in lines[-1]
