"""How litellm translates for each kind of provider that `litellm_translation` speaks to, by its classes for that kind.

A dialect takes the steps that litellm's own handler for the kind takes between OpenAI's parameters and the bytes, in
the same order. `proxy/tests/test_litellm_translation.py` holds them to what `litellm.acompletion` sends and returns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
import litellm
from litellm.anthropic_beta_headers_manager import update_request_with_filtered_beta
from litellm.llms.anthropic.chat.handler import ModelResponseIterator as AnthropicReader
from litellm.llms.anthropic.chat.transformation import ANTHROPIC_TOOL_NAME_REVERSE_MAP_KEY
from litellm.llms.vertex_ai.gemini.transformation import async_transform_request_body
from litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini import (
    ModelResponseIterator as GeminiReader,
    VertexLLM,
)


class Silence:
    """What litellm's classes report to. They read one thing back: the caller's parameters."""

    def __init__(self, optional_params: Mapping[str, Any]) -> None:
        self.optional_params = dict(optional_params)
        self.model_call_details: dict[str, Any] = {}

    def post_call(self, *_: Any, **__: Any) -> None: ...


@dataclass
class Call:
    """One call, its parameters already mapped to the provider's (`params`). `settings` are litellm's, for this call."""

    model: str
    base_url: str
    api_key: str = field(repr=False)
    config: Any
    messages: list[Any]
    params: dict[str, Any]
    settings: dict[str, Any] = field(repr=False)
    log: Silence
    streams: bool
    is_json: bool = False
    body: dict[str, Any] = field(default_factory=dict)

    def headers(self, params: dict[str, Any]) -> dict[str, str]:
        """The headers that litellm wants, the credential among them; never one of the environment's."""
        headers: dict[str, str] = self.config.validate_environment(
            headers={},
            api_key=self.api_key,
            api_base=self.base_url,
            model=self.model,
            messages=self.messages,
            optional_params=params,
            litellm_params=self.settings,
        )
        return headers


class Reader(Protocol):
    """Reads a stream, event by event."""

    def chunk_parser(self, chunk: dict[str, Any]) -> Any:
        """A ModelResponseStream or None of one event's data; raises litellm's exceptions."""


class Dialect(Protocol):
    base_url: str

    def takes(self, request: Mapping[str, Any]) -> bool:
        """Whether the call is nothing but one translated request."""

    async def write(self, call: Call) -> tuple[str, dict[str, str]]:
        """URL and headers of the request; its body goes into `call.body`."""

    def answer(self, call: Call, raw: httpx.Response) -> Any:
        """The ModelResponse of a whole answer."""

    def reader(self, call: Call, headers: httpx.Headers) -> Reader: ...


class _OfConfig:
    """What is the same wherever a config class does all the work."""

    base_url: str

    def takes(self, request: Mapping[str, Any]) -> bool:
        return True

    def answer(self, call: Call, raw: httpx.Response) -> Any:
        response = litellm.ModelResponse()
        response.usage = litellm.Usage()
        return call.config.transform_response(
            model=call.model,
            raw_response=raw,
            model_response=response,
            logging_obj=call.log,
            api_key=call.api_key,
            request_data=call.body,
            messages=call.messages,
            optional_params=call.params,
            litellm_params=call.settings,
            encoding=None,
            json_mode=call.is_json,
        )


class Anthropic(_OfConfig):
    """`litellm.llms.anthropic.chat.handler.AnthropicChatCompletion`."""

    base_url = "https://api.anthropic.com"

    async def write(self, call: Call) -> tuple[str, dict[str, str]]:
        call.params.pop("stream", None)
        call.is_json = call.params.pop("json_mode", False)
        headers = call.headers({**call.params, "is_vertex_request": False})
        headers, call.body = update_request_with_filtered_beta(
            headers=headers,
            request_data=await call.config.async_transform_request(
                model=call.model,
                messages=call.messages,
                optional_params={**call.params, "is_vertex_request": False},
                litellm_params=call.settings,
                headers=headers,
            ),
            provider="anthropic",
        )
        if call.streams:
            call.body["stream"] = True
        return call.base_url.removesuffix("/v1/messages") + "/v1/messages", headers

    def reader(self, call: Call, headers: httpx.Headers) -> Reader:
        reader: Reader = AnthropicReader(
            streaming_response=None,
            sync_stream=False,
            json_mode=call.is_json,
            speed=call.params.get("speed"),
            tool_name_reverse_map=call.settings.get(ANTHROPIC_TOOL_NAME_REVERSE_MAP_KEY),
        )
        return reader


class Gemini(_OfConfig):
    """`VertexLLM`, for Google AI Studio."""

    base_url = ""  # litellm's: it depends on the model

    def takes(self, request: Mapping[str, Any]) -> bool:
        """Marked messages are stored at Google first, by a request of their own."""
        messages = request["messages"]
        return not (isinstance(messages, list) and any(map(_is_marked, messages)))

    async def write(self, call: Call) -> tuple[str, dict[str, str]]:
        call.params.pop("stream", None)
        credential, url = VertexLLM()._get_token_and_url(  # the only place that knows the addresses
            model=call.model,
            auth_header="",
            gemini_api_key=call.api_key,
            vertex_project=None,
            vertex_location=None,
            vertex_credentials=None,
            stream=call.streams,
            custom_llm_provider="gemini",
            api_base=call.base_url or None,
        )
        headers = call.config.validate_environment(
            api_key=credential,
            headers={},
            model=call.model,
            messages=call.messages,
            optional_params=call.params,
            litellm_params=call.settings,
        )
        call.body = dict(
            await async_transform_request_body(
                gemini_api_key=call.api_key,
                messages=call.messages,
                api_base=call.base_url or None,
                model=call.model,
                client=None,
                timeout=None,
                extra_headers=None,
                optional_params=call.params,
                logging_obj=call.log,
                custom_llm_provider="gemini",
                litellm_params=call.settings,
                vertex_project=None,
                vertex_location=None,
                vertex_auth_header=credential,
            )
        )
        return url, headers

    def reader(self, call: Call, headers: httpx.Headers) -> Reader:
        reader: Reader = GeminiReader(
            streaming_response=None, sync_stream=False, logging_obj=call.log, response_headers=headers
        )
        return reader


class Generic(_OfConfig):
    """`litellm.llms.custom_httpx.llm_http_handler.BaseLLMHTTPHandler`."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    async def write(self, call: Call) -> tuple[str, dict[str, str]]:
        call.is_json = call.params.pop("json_mode", False)
        extra_body = call.params.pop("extra_body", None) or {}
        headers = call.headers(call.params)
        url: str = call.config.get_complete_url(
            api_base=call.base_url,
            api_key=call.api_key,
            model=call.model,
            optional_params=call.params,
            stream=call.streams,
            litellm_params=call.settings,
        )
        call.body = call.config.transform_request(
            model=call.model,
            messages=call.messages,
            optional_params=call.params,
            litellm_params=call.settings,
            headers=headers,
        )
        call.body |= call.config.transform_extra_body(
            extra_body=extra_body, request=call.body, model=call.model, litellm_params=call.settings
        )
        if call.streams and call.config.supports_stream_param_in_request_body:
            call.body["stream"] = True
        return url, headers

    def reader(self, call: Call, headers: httpx.Headers) -> Reader:
        reader: Reader = call.config.get_model_response_iterator(streaming_response=None, sync_stream=False)
        return reader


class Mistral(Generic):
    def __init__(self) -> None:
        super().__init__("https://api.mistral.ai/v1")

    async def write(self, call: Call) -> tuple[str, dict[str, str]]:
        call.base_url = call.base_url.removesuffix("/v1") + "/v1"
        return await super().write(call)


def _is_marked(message: Any) -> bool:
    if not isinstance(message, dict):
        return False
    parts = message.get("content")
    marks = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return any(part.get("cache_control") for part in (message, *marks))


DIALECTS: dict[str, Dialect] = {
    "anthropic": Anthropic(),
    "gemini": Gemini(),
    "mistral": Mistral(),
}
