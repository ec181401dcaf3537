"""Asks a vendor twice, by litellm's translation alone and by `litellm.acompletion`, and puts side by side what came."""

import json
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from proxy.tests.vendors.reading import listen
from proxy.tests.vendors.server import Received, Vendor
from proxy.upstreams.base import Target
from proxy.upstreams.failures import UpstreamFailure
from proxy.upstreams.litellm_wire import LitellmWire

# What two HTTP clients say of themselves and their connection.
OF_THE_CLIENT = frozenset({"accept-encoding", "connection", "content-length", "host", "user-agent"})

Ask = Callable[[LitellmWire, Target, dict[str, Any]], Coroutine[Any, Any, list[dict[str, Any]]]]


@dataclass
class Outcome:
    """What the vendor was sent, what came out, and the failure if there was one."""

    sent: list[dict[str, Any]]
    came: list[dict[str, Any]]
    failure: dict[str, Any] = field(default_factory=dict)


async def whole(wire: LitellmWire, target: Target, body: dict[str, Any]) -> list[dict[str, Any]]:
    return [(await wire.complete(target, body)).data]


async def streamed(wire: LitellmWire, target: Target, body: dict[str, Any]) -> list[dict[str, Any]]:
    return (await listen(wire.stream(target, body))).chunks


async def both_ways(
    ask: Ask, vendor: Vendor, target: Target, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> tuple[Outcome, Outcome]:
    """Of the translation, of acompletion. Each is made sure to be what it says."""
    wire = LitellmWire()
    library = await wire.prepare()
    with monkeypatch.context() as patch:
        patch.setattr(library.sdk, "complete", _not_to_be_called)
        patch.setattr(library.sdk, "chunks", _not_to_be_called)
        translated = await _outcome(ask, wire, vendor, target, body)
    with monkeypatch.context() as patch:
        patch.setattr(library.translation, "takes", lambda *_: False)
        patch.setattr(library.translation, "complete", _not_to_be_called)
        patch.setattr(library.translation, "chunks", _not_to_be_called)
        completed = await _outcome(ask, wire, vendor, target, body)
    await wire.close()
    return translated, completed


async def _outcome(ask: Ask, wire: LitellmWire, vendor: Vendor, target: Target, body: dict[str, Any]) -> Outcome:
    vendor.received.clear()
    came, failure = [], {}
    try:
        came = await ask(wire, target, body)
    except UpstreamFailure as error:
        failure = {**vars(error), "class": type(error).__name__, "verdict": error.verdict}
    return Outcome([_comparable(request) for request in vendor.received], _without_chance(came), failure)


def _comparable(request: Received) -> dict[str, Any]:
    headers = {name: value for name, value in request.headers.items() if name not in OF_THE_CLIENT}
    return {**asdict(request), "headers": headers}


def _without_chance(data: Any) -> Any:
    """Ids and times that litellm makes up, each way its own."""
    text = json.dumps(data)
    for chance in _made_up(data):
        text = text.replace(json.dumps(chance), '"made up"')
    result = json.loads(text)
    for item in result:
        item.pop("created", None)
    return result


def _made_up(data: Any) -> set[str]:
    if isinstance(data, list):
        return set().union(*(_made_up(item) for item in data))
    if not isinstance(data, dict):
        return set()
    own = {data["id"]} if str(data.get("id")).startswith(("chatcmpl-", "call_")) else set()
    return own.union(*(_made_up(value) for value in data.values()))


async def _not_to_be_called(*_: Any, **__: Any) -> Any:
    raise AssertionError("The other way was taken.")
