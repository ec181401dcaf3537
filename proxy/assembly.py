"""A chat completion put together from the chunks of its stream."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from proxy.upstreams.base import Event
from proxy.upstreams.failures import MalformedAnswer

MOST_CHARACTERS = 16 * 1024 * 1024
# What a chunk repeats instead of going on with it.
WHOLE = frozenset({"id", "index", "name", "role", "type"})


class Assembly:
    """Feed it every event that a meter has accepted, in order. Fields that we do not know come along."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._characters = 0

    def feed(self, events: Iterable[Event]) -> list[dict[str, Any]]:
        """Returns the chunks among them; raises MalformedAnswer for an answer that never ends."""
        chunks = [event.data for event in events if event.data is not None]
        self._characters += sum(len(event.raw) for event in events)
        if self._characters > MOST_CHARACTERS:
            raise MalformedAnswer("The model's answer is too long to be kept.")
        for chunk in chunks:
            self._head |= {name: value for name, value in chunk.items() if name != "choices" and value is not None}
            for choice in chunk.get("choices") or ():
                self._add(choice)
        return chunks

    def completion(self) -> dict[str, Any]:
        """OpenAI's chat.completion."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        return {**self._head, "object": "chat.completion", "choices": choices}

    @property
    def content(self) -> str:
        """The text of the first choice so far."""
        return content_of(self.completion())

    def _add(self, choice: dict[str, Any]) -> None:
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        whole = self._choices.setdefault(index, {"index": index, "message": {"role": "assistant", "content": None}})
        for name, value in choice.items():
            if name == "delta":
                _merge(whole["message"], value or {})
            elif name != "index":
                _merge(whole, {name: value})


def content_of(completion: dict[str, Any]) -> str:
    """The text of a completion's first choice; what it refuses where it says nothing else."""
    choices = completion.get("choices") or [{}]
    message = choices[0].get("message") or {}
    said = message.get("content") or message.get("refusal")
    return said if isinstance(said, str) else ""


def _merge(whole: dict[str, Any], delta: dict[str, Any]) -> None:
    """Texts and lists go on, objects are merged, all else is replaced. What is changed later is a copy: others read the
    chunks, too.
    """
    for name, value in delta.items():
        known = whole.get(name)
        if value is None:
            whole.setdefault(name, None)
        elif isinstance(known, str) and isinstance(value, str) and name not in WHOLE:
            whole[name] = known + value
        elif isinstance(known, dict) and isinstance(value, dict):
            _merge(known, value)
        elif isinstance(value, list):
            whole[name] = known if isinstance(known, list) else []
            _go_on(whole[name], value)
        else:
            whole[name] = deepcopy(value)


def _go_on(known: list[Any], more: list[Any]) -> None:
    """Items with an `index` (tool calls) go on with the one of the same index; others follow."""
    for item in more:
        index = _index(item)
        same = None if index is None else next((each for each in known if _index(each) == index), None)
        if same is None:
            known.append(deepcopy(item))
        else:
            _merge(same, item)


def _index(item: Any) -> int | None:
    index = item.get("index") if isinstance(item, dict) else None
    return index if isinstance(index, int) else None
