"""Counting tokens, offline and safely: OpenAI's encodings from the files that litellm brings along.

Counts are exact for OpenAI's text models and near for others. This is CPU work, a tenth of a second for a million
characters, and the first count loads an encoding, a quarter of a second: call it off the event loop.
"""

import functools
import os
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import tiktoken
from tiktoken.model import encoding_name_for_model

from proxy.upstreams.model_table import litellm_directory

# What litellm ships files for; every other model is counted like OpenAI's current ones.
SHIPPED = frozenset({"cl100k_base", "o200k_base"})
USUAL_ENCODING = "o200k_base"

# Tokens, from https://platform.openai.com/docs/guides/text?api-mode=chat and its cookbook on counting tokens.
TOKENS_PER_MESSAGE = 3
TOKENS_PER_NAME = 1
TOKENS_PER_REPLY = 3
TOKENS_PER_TOOL = 8
# About the most that Anthropic bills for an image; most models bill less (OpenAI 765 for 1024 x 1024 pixels).
TOKENS_PER_IMAGE = 1600
# A guess for what cannot be looked into: a minute of sound, a page or two of a document.
TOKENS_PER_ATTACHMENT = 2000

# tiktoken panics at a million blanks, and long runs of one letter cost more than their share of time: longer texts are
# counted piece by piece, which adds a token here and there.
PIECE_CHARACTERS = 4096


def count_tokens(model: str, text: str) -> int:
    """How many tokens this model makes of a text. Special tokens in it count as the text that they are."""
    encoding = _encoding(model)
    pieces = (text[at : at + PIECE_CHARACTERS] for at in range(0, len(text), PIECE_CHARACTERS))
    return sum(len(encoding.encode_ordinary(piece)) for piece in pieces)


def count_prompt_tokens(model: str, messages: list[dict[str, Any]], tools: list[Any] | None) -> int:
    """How many tokens a chat request makes. Content of unknown shape counts as its JSON; nothing is refused."""
    total = TOKENS_PER_REPLY
    for message in messages:
        total += TOKENS_PER_MESSAGE + _count_message(model, message)
    for tool in tools or ():
        total += TOKENS_PER_TOOL + count_tokens(model, _json(tool))
    return total


def _count_message(model: str, message: Any) -> int:
    if not isinstance(message, Mapping):
        return count_tokens(model, _json(message))
    total = TOKENS_PER_NAME if message.get("name") else 0
    for name, value in message.items():
        if name == "content" and isinstance(value, list):
            total += _count_parts(model, value)
        elif value is not None:
            total += count_tokens(model, _json(value))
    return total


def _count_parts(model: str, parts: Iterable[Any]) -> int:
    total = 0
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind in {"image_url", "image", "input_image"}:
            total += TOKENS_PER_IMAGE
        elif kind in {"input_audio", "file", "document", "video_url"}:
            total += TOKENS_PER_ATTACHMENT
        else:
            total += count_tokens(model, _json(part.get("text", part) if isinstance(part, Mapping) else part))
    return total


def _json(value: Any) -> str:
    """Texts as they are, all else as JSON (or, where it cannot be, as Python writes it)."""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return str(value)


@functools.lru_cache(maxsize=1024)
def _encoding(model: str) -> tiktoken.Encoding:
    try:
        name = encoding_name_for_model(model.rpartition("/")[2])
    except KeyError:
        name = USUAL_ENCODING
    # tiktoken would download what it does not find here.
    os.environ["TIKTOKEN_CACHE_DIR"] = str(litellm_directory() / "litellm_core_utils" / "tokenizers")
    return tiktoken.get_encoding(name if name in SHIPPED else USUAL_ENCODING)
