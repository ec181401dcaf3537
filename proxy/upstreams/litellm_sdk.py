"""litellm, imported and tamed. Importing it takes seconds and 150 MB: `LitellmWire.prepare` does it in a thread.

The settings below leave a plain function: no retries, callbacks, logging tasks, caches, downloads or prints.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import litellm
from litellm._internal_context import is_internal_call
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

from proxy.upstreams.base import Target
from proxy.upstreams.failures import UpstreamFailure
from proxy.upstreams.litellm_exchange import Exchange
from proxy.upstreams.litellm_failures import failure_in_stream, failure_of
from proxy.upstreams.litellm_http import ClientExchange, Transport, current_exchange, open_session

__all__ = ["ClientExchange", "chunks", "complete", "embed", "open_session"]

_transport = Transport()


def _use_our_transport(**_: Any) -> Transport:
    return _transport


# litellm builds every asynchronous client through this one function; it has no setting for it.
AsyncHTTPHandler.create_async_transport = staticmethod(_use_our_transport)
litellm.suppress_debug_info = True
litellm.disable_hf_tokenizer_download = True
# It logs whole requests and errors, callers' texts included. What went wrong is in the attempt that we record.
logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)

ALWAYS: dict[str, Any] = {
    "num_retries": 0,
    "max_retries": 0,
    # Seconds. Only a backstop: the relay and the connect timeout end calls long before.
    "timeout": 3600.0,
    # A request written for OpenAI must survive a fallback to a provider that knows no `seed` or `logit_bias`.
    "drop_params": True,
}
# Else it looks for its own MCP gateway in every request with tools, and imports its proxy for that.
CHAT: dict[str, Any] = {**ALWAYS, "_skip_mcp_handler": True}
STREAM: dict[str, Any] = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}


async def complete(exchange: ClientExchange, target: Target, request: dict[str, Any]) -> Any:
    """A litellm ModelResponse. Raises UpstreamFailure."""
    with _inside(exchange), translated(failure_of, exchange, target):
        return await litellm.acompletion(**request, **CHAT)


async def embed(exchange: ClientExchange, target: Target, request: dict[str, Any]) -> Any:
    """A litellm EmbeddingResponse. Raises UpstreamFailure."""
    with _inside(exchange), translated(failure_of, exchange, target):
        return await litellm.aembedding(**request, **ALWAYS)


async def chunks(exchange: ClientExchange, target: Target, request: dict[str, Any]) -> AsyncIterator[Any]:
    """The provider's chunks as litellm reads them; ends where the body ends. Raises UpstreamFailure.

    These come without litellm's stream wrapper, which invents a finish reason for a stream that was cut, replaces the
    reported model and usage, keeps every chunk in memory and gives up on a model that repeats itself.
    """
    with _inside(exchange), translated(failure_of, exchange, target):
        wrapper = await litellm.acompletion(**request, **STREAM)
        if wrapper.completion_stream is None:
            await wrapper.fetch_stream()
    with translated(failure_in_stream, exchange, target):
        async for chunk in wrapper.completion_stream:
            yield chunk


@contextmanager
def _inside(exchange: ClientExchange) -> Iterator[None]:
    """Calls in here go through this exchange, and litellm starts no logging task for them."""
    calls, exchanges = is_internal_call.set(True), current_exchange.set(exchange)
    try:
        yield
    finally:
        is_internal_call.reset(calls)
        current_exchange.reset(exchanges)


@contextmanager
def translated(
    translate: Callable[[Exception, Exchange, Target], UpstreamFailure], exchange: Exchange, target: Target
) -> Iterator[None]:
    """What litellm raises in here becomes a failure of ours."""
    try:
        yield
    except UpstreamFailure:
        raise
    except Exception as error:  # noqa: BLE001  # litellm raises its own exceptions, its libraries' and Python's
        # Without the original: its message may hold the caller's texts and our key.
        raise translate(error, exchange, target) from None
