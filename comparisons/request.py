"""The request of `POST /compare_models`: what we read of it, and what each slot is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from accounts.errors import InvalidRequest
from comparisons.errors import SlotProblem
from comparisons.models.comparison import TITLE_LENGTH
from proxy.chat import TYPES, FieldType, check_fields, check_messages, check_types, require_name
from proxy.options import LONGEST_TAG, MOST_TAGS

FEWEST_SLOTS, MOST_SLOTS = 2, 10
LONGEST_TIMEOUT_S = 3600.0
LONGEST_LABEL = 100


_SWITCH = ((bool,), "true or false")
_TEXT = ((str,), "a text")
TOP: dict[str, FieldType] = {
    "models": ((list,), f"a list of {FEWEST_SLOTS} to {MOST_SLOTS} models or chains"),
    "messages": TYPES["messages"],
    "prompt": _TEXT,
    "params": ((dict,), "an object"),
    "stream": _SWITCH,
    "timeout_s": ((int, float), "a number of seconds"),
    "cache": _SWITCH,
    "fallbacks": _SWITCH,
    "title": _TEXT,
    "tags": ((list,), "a list of texts"),
    "store": _SWITCH,
    "on_disconnect": _TEXT,
    "from_request": _TEXT,
}
SLOT: dict[str, FieldType] = {"label": _TEXT, "params": ((dict,), "an object")}
# What the comparison itself decides.
NOT_PARAMS = frozenset({"model", "models", "messages", "prompt", "stream", "stream_options", "fallbacks"})


@dataclass(frozen=True, slots=True)
class SlotRequest:
    """One slot: `params` are its own, `body` is the whole request without the model's name."""

    number: int
    label: str
    model: str
    params: dict[str, Any]
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """A checked request. `problems` are those of single slots: they are told together with what else is wrong."""

    slots: tuple[SlotRequest, ...]
    messages: list[dict[str, Any]]
    problems: tuple[SlotProblem, ...] = ()
    params: dict[str, Any] = field(default_factory=dict)
    stream: bool = False
    timeout_s: float | None = None
    cache: bool = False
    fallbacks: bool = False
    title: str = ""
    tags: tuple[str, ...] = ()
    store: bool = True
    cancel_on_disconnect: bool = False
    from_request: str = ""
    first_slot: int = 0
    wants_usage_chunk: bool = False

    @classmethod
    def parse(cls, data: Any, *, fewest: int = FEWEST_SLOTS, first_slot: int = 0) -> "ComparisonRequest":
        """Check a decoded body; raises InvalidRequest for what is wrong with the whole of it.

        `first_slot`: the number of the first model; above 0 where slots before it have their answers already.
        """
        body = _require_body(data)
        messages = _messages(body)
        params = _params(body.get("params"))
        slots, problems = _slots(body.get("models"), messages, params, fewest, first_slot)
        return cls(
            slots=slots,
            problems=problems,
            messages=messages,
            params=params,
            stream=bool(body.get("stream")),
            timeout_s=_timeout(body.get("timeout_s")),
            cache=bool(body.get("cache")),
            fallbacks=bool(body.get("fallbacks")),
            title=printable(body.get("title") or "")[:TITLE_LENGTH],
            tags=tags_of(body.get("tags") or []),
            store=body.get("store") is not False,
            cancel_on_disconnect=_cancels(body.get("on_disconnect")),
            from_request=body.get("from_request") or "",
            first_slot=first_slot,
        )

    @property
    def prompt(self) -> str:
        """The text of the user's last message."""
        said = [message for message in self.messages if message.get("role") == "user"] or self.messages
        return text_of(said[-1].get("content"))


def text_of(content: Any) -> str:
    """The text of a message's content: itself, or its parts' texts."""
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        return "\n".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def printable(text: str) -> str:
    """In one line, without control characters."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())


def tags_of(values: list[Any]) -> tuple[str, ...]:
    """Each once, in order; raises InvalidRequest."""
    if len(values) > MOST_TAGS or not all(isinstance(value, str) for value in values):
        raise InvalidRequest(f"tags must be a list of up to {MOST_TAGS} texts.", param="tags")
    names = (printable(value)[:LONGEST_TAG] for value in values)
    return tuple(dict.fromkeys(name for name in names if name))


def _require_body(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise InvalidRequest('Send a JSON object, for example {"models": ["a", "b"], "prompt": "…"}.')
    if unknown := data.keys() - TOP.keys():
        param = min(unknown)
        raise InvalidRequest(
            f"{param[:100]} is no field of a comparison. What the models are to know belongs into params.", param=param
        )
    check_types({name: value for name, value in data.items() if value is not None}, TOP)
    return data


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    prompt, messages = body.get("prompt"), body.get("messages")
    if (prompt is None) == (messages is None):
        raise InvalidRequest("Send either messages or prompt.", param="messages")
    if prompt is not None:
        if not prompt.strip():
            raise InvalidRequest("prompt is empty. Ask something.", param="prompt")
        return [{"role": "user", "content": prompt}]
    check_messages(messages)
    checked: list[dict[str, Any]] = messages or []
    return checked


def _params(params: Any, of: str = "params") -> dict[str, Any]:
    """Raises InvalidRequest that names the parameter."""
    params = params or {}
    try:
        check_fields(params)
        if misplaced := NOT_PARAMS.intersection(params):
            param = min(misplaced)
            raise InvalidRequest(f"{param} does not belong into params. Leave it out there.", param=param)
    except InvalidRequest as refusal:
        raise InvalidRequest(refusal.message, param=f"{of}.{refusal.param}") from refusal
    return dict(params)


def _slots(
    models: Any, messages: list[dict[str, Any]], params: dict[str, Any], fewest: int, first_slot: int
) -> tuple[tuple[SlotRequest, ...], tuple[SlotProblem, ...]]:
    most = MOST_SLOTS - first_slot
    if not isinstance(models, list) or not fewest <= len(models) <= most:
        found = f"; {_counted(len(models))}" if isinstance(models, list) else ', for example ["a", "b"]'
        raise InvalidRequest(f"models must be a list of {fewest} to {most} models or chains{found}.", param="models")
    slots, problems = [], []
    for place, asked in enumerate(models):
        try:
            slots.append(_slot(first_slot + place, asked, messages, params))
        except InvalidRequest as refusal:
            problems.append(SlotProblem(first_slot + place, refusal, place))
    return tuple(slots), tuple(problems)


def _counted(number: int) -> str:
    return {0: "this one is empty", 1: "this is 1"}.get(number, f"these are {number}")


def _slot(number: int, asked: Any, messages: list[dict[str, Any]], params: dict[str, Any]) -> SlotRequest:
    fields = {"model": asked} if isinstance(asked, str) else asked
    if not isinstance(fields, dict) or fields.keys() - {"model", "label", "params"}:
        raise InvalidRequest('Name a model, or send {"model": "…", "label": "…", "params": {…}}.')
    model = require_name(fields.get("model"), "model")
    check_types(fields, SLOT)
    own = _params(fields.get("params"))
    label = printable(fields.get("label") or "")[:LONGEST_LABEL] or chr(ord("A") + number)
    return SlotRequest(number, label, model, own, {"messages": messages, **params, **own})


def _timeout(seconds: float | None) -> float | None:
    if seconds is not None and not 0 < seconds <= LONGEST_TIMEOUT_S:
        raise InvalidRequest(
            f"timeout_s must be a number of seconds above 0, at most {LONGEST_TIMEOUT_S:g}.", param="timeout_s"
        )
    return seconds


def _cancels(on_disconnect: str | None) -> bool:
    if on_disconnect not in {None, "finish", "cancel"}:
        raise InvalidRequest("on_disconnect must be finish or cancel.", param="on_disconnect")
    return on_disconnect == "cancel"


def require_fields(data: Any, known: frozenset[str] | set[str], example: str) -> dict[str, Any]:
    """The body of a small request; raises InvalidRequest for anything but an object of these fields."""
    expected = f"Send a JSON object with {', '.join(sorted(known))}, for example {example}."
    if not isinstance(data, dict):
        raise InvalidRequest(expected)
    if unknown := data.keys() - known:
        raise InvalidRequest(expected, param=min(unknown))
    return data
