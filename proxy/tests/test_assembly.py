"""A completion put together from the chunks of its stream."""

from copy import deepcopy
from typing import Any

from proxy.assembly import Assembly
from proxy.upstreams.base import Event


def chunks(*deltas: dict[str, Any]) -> list[Event]:
    return [Event(b"", {"id": "c1", "choices": [{"index": 0, "delta": delta}]}) for delta in deltas]


def function(arguments: str, **more: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments, **more}}]}


def test_tool_calls_go_on_and_the_chunks_stay_as_they_came():
    events = chunks(function("", name="weather"), function('{"city"'), function(': "Paris"}'))
    before = deepcopy(events)
    assembly = Assembly()
    told = assembly.feed(events)
    [call] = assembly.completion()["choices"][0]["message"]["tool_calls"]
    assert call == {"index": 0, "function": {"arguments": '{"city": "Paris"}', "name": "weather"}}
    assert [event.data for event in events] == [event.data for event in before]
    assert told == [event.data for event in before]


def test_lists_without_an_index_are_joined():
    def chosen(token: str) -> list[Event]:
        choice = {"index": 0, "delta": {"content": token}, "logprobs": {"content": [{"token": token}]}}
        return [Event(b"", {"id": "c1", "choices": [choice]})]

    assembly = Assembly()
    first = chosen("a")
    for events in (first, chosen("b"), chosen("c")):
        assembly.feed(events)
    assert assembly.content == "abc"
    logprobs = assembly.completion()["choices"][0]["logprobs"]
    assert logprobs == {"content": [{"token": "a"}, {"token": "b"}, {"token": "c"}]}
    assert [event.data for event in first] == [event.data for event in chosen("a")]
