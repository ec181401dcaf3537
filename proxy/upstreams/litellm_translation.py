"""litellm's translation and nothing else of it: the bytes travel by our own client.

`litellm.acompletion` spends most of its time around the translation: prices, caches, logging, a thread for each call.
For the kinds of `litellm_dialects.DIALECTS` only the translation is called. What becomes of a request and of an answer
is the same either way.
"""

import json
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Any

import httpx
import litellm
import orjson
from litellm import utils
from litellm.litellm_core_utils.get_litellm_params import get_litellm_params
from litellm.llms.anthropic.common_utils import AnthropicModelInfo
from litellm.main import _drop_anthropic_only_tool_keys, _is_claude_tool_target, responses_api_bridge_check

from proxy.upstreams.base import Target
from proxy.upstreams.failures import CredentialRejected
from proxy.upstreams.litellm_dialects import DIALECTS, Call, Dialect, Silence
from proxy.upstreams.litellm_exchange import PooledExchange
from proxy.upstreams.litellm_failures import failure_in_stream, failure_of
from proxy.upstreams.litellm_sdk import translated
from proxy.upstreams.sse import EventParser

__all__ = ["PooledExchange", "chunks", "complete", "takes"]

# Where the call goes is the target's business; it is in nobody's parameters.
_ADDRESS = frozenset({"api_base", "api_key", "custom_llm_provider", "messages", "model"})
_MODELS_REMEMBERED = 4096

# What a model can do is looked up in litellm's table several times for each request, at 30 µs, by name and prefix. The
# table does not change while we run.
utils.supports_factory = lru_cache(_MODELS_REMEMBERED)(utils.supports_factory)
AnthropicModelInfo._supports_model_capability = staticmethod(
    lru_cache(_MODELS_REMEMBERED)(AnthropicModelInfo._supports_model_capability)
)


def takes(target: Target, request: Mapping[str, Any]) -> bool:
    """Whether this call needs no more of litellm than a translation."""
    dialect = DIALECTS.get(target.kind)
    return dialect is not None and _is_plain(target.kind, target.model) and dialect.takes(request)


async def complete(exchange: PooledExchange, target: Target, request: dict[str, Any]) -> Any:
    """A litellm ModelResponse. Raises UpstreamFailure."""
    with translated(failure_of, exchange, target):
        dialect, call = DIALECTS[target.kind], _call(target, request)
        await _send(exchange, dialect, call)
        raw = httpx.Response(exchange.status or 0, headers=exchange.headers, content=await exchange.read_whole())
        return dialect.answer(call, raw)


async def chunks(exchange: PooledExchange, target: Target, request: dict[str, Any]) -> AsyncIterator[Any]:
    """The provider's chunks as litellm reads them; ends where the body ends. Raises UpstreamFailure."""
    with translated(failure_of, exchange, target):
        dialect = DIALECTS[target.kind]
        call = _call(target, {**request, "stream": True, "stream_options": {"include_usage": True}})
        await _send(exchange, dialect, call)
        reader = dialect.reader(call, httpx.Headers(exchange.headers))
    events = EventParser()
    with translated(failure_in_stream, exchange, target):
        while data := await exchange.read():
            for event in events.feed(data):
                if event.data:
                    yield reader.chunk_parser(event.data)
        for event in events.end():
            if event.data:
                yield reader.chunk_parser(event.data)


@lru_cache(_MODELS_REMEMBERED)
def _is_plain(kind: str, model: str) -> bool:
    """Whether litellm itself would ask this model at this kind of provider, in a chat, under this name."""
    try:
        name, provider, _, _ = litellm.get_llm_provider(f"{kind}/{model}", kind, "http://localhost", "key")
        info, asked = responses_api_bridge_check(name, provider)
    except Exception:  # noqa: BLE001  # then it is litellm's to say what is wrong
        return False
    return (asked, provider) == (model, kind) and info.get("mode") != "responses"


def _call(target: Target, request: Mapping[str, Any]) -> Call:
    """What `litellm.completion` does before it turns to a provider."""
    if not target.api_key:
        raise CredentialRejected("The gateway has no usable credential for this provider.")
    kind, model = target.kind, target.model
    base_url = target.base_url or DIALECTS[kind].base_url
    messages = utils.validate_and_fix_openai_messages(request["messages"])
    fields = _checked({name: value for name, value in request.items() if name not in _ADDRESS}, kind, model)
    config: Any = utils.ProviderConfigManager.get_provider_chat_config(model, litellm.LlmProviders(kind))
    messages = config.translate_developer_role_to_system_role(messages)
    return Call(
        model=model,
        base_url=base_url,
        api_key=target.api_key,
        config=config,
        messages=messages,
        params=utils.get_optional_params(
            model=model, custom_llm_provider=kind, messages=messages, drop_params=True, **fields
        ),
        settings=get_litellm_params(
            custom_llm_provider=kind, api_key=target.api_key, api_base=base_url or None, drop_params=True
        ),
        log=Silence(fields),
        streams=bool(request.get("stream")),
    )


def _checked(fields: dict[str, Any], kind: str, model: str) -> dict[str, Any]:
    tools = utils.validate_and_fix_openai_tools(fields.get("tools"))
    if not _is_claude_tool_target(kind, model):
        tools = _drop_anthropic_only_tool_keys(tools)
    return {
        **fields,
        "tools": tools,
        "tool_choice": utils.validate_chat_completion_tool_choice(fields.get("tool_choice"), model),
        "stop": utils.validate_openai_optional_params(fields.get("stop")),
        "thinking": utils.validate_and_fix_thinking_param(fields.get("thinking")),
    }


async def _send(exchange: PooledExchange, dialect: Dialect, call: Call) -> None:
    """Raises litellm's exception for an answer that is an error."""
    url, headers = await dialect.write(call)
    await exchange.post(url, tuple(headers.items()), _encoded(exchange.merged(call.body)))
    if (exchange.status or 0) >= 400:
        message = exchange.error_body.decode(errors="replace")
        raise call.config.get_error_class(message, exchange.status, httpx.Headers(exchange.headers))


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:  # numbers beyond 64 bits and halves of characters, from a tool's arguments
        return json.dumps(body).encode()
