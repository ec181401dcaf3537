"""What litellm's bundled table knows of models: prices, limits, modes. Read without importing litellm."""

import functools
import importlib.util
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

TABLE = "model_prices_and_context_window_backup.json"
TOKENS_PER_PRICE = 1_000_000

# litellm's names for further parts of one kind of provider.
_PARTS = {"bedrock": "bedrock_converse", "cohere": "cohere_chat"}

# Where providers that speak OpenAI's wire usually live; paths such as /chat/completions are appended.
OPENAI_WIRE_BASE_URLS = {
    "openai": "https://api.openai.com/v1",
    "cerebras": "https://api.cerebras.ai/v1",
    "deepinfra": "https://api.deepinfra.com/v1/openai",
    "deepseek": "https://api.deepseek.com/v1",
    "fireworks_ai": "https://api.fireworks.ai/inference/v1",
    "groq": "https://api.groq.com/openai/v1",
    "hosted_vllm": "http://localhost:8000/v1",
    "hyperbolic": "https://api.hyperbolic.xyz/v1",
    "lambda_ai": "https://api.lambda.ai/v1",
    "lm_studio": "http://localhost:1234/v1",
    "meta_llama": "https://api.llama.com/compat/v1",
    "mistral": "https://api.mistral.ai/v1",
    "moonshot": "https://api.moonshot.ai/v1",
    "nebius": "https://api.studio.nebius.ai/v1",
    "nvidia_nim": "https://integrate.api.nvidia.com/v1",
    "ollama": "http://localhost:11434/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "perplexity": "https://api.perplexity.ai",
    "sambanova": "https://api.sambanova.ai/v1",
    "together_ai": "https://api.together.ai/v1",
    "vllm": "http://localhost:8000/v1",
    "xai": "https://api.x.ai/v1",
}

# Where a kind's usual variable is not KIND_API_KEY.
_API_KEY_VARIABLES = {
    "bedrock": "AWS_BEARER_TOKEN_BEDROCK",
    "fireworks_ai": "FIREWORKS_API_KEY",
    "lambda_ai": "LAMBDA_API_KEY",
    "meta_llama": "LLAMA_API_KEY",
    "together_ai": "TOGETHERAI_API_KEY",
}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model; None where nothing is. Prices in US dollars for a million tokens, sizes in tokens."""

    input_price_per_mtok: Decimal | None = None
    output_price_per_mtok: Decimal | None = None
    cached_input_price_per_mtok: Decimal | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    mode: str | None = None


def lookup(kind: str, model: str) -> ModelFacts | None:
    """The facts of a provider's model under its own name, for example ("gemini", "gemini-2.5-flash")."""
    table = _table()
    entry = table.get(f"{kind}/{model}")
    if entry is None:
        entry = table.get(model)
        if entry is None or not _is_of(kind, entry):
            return None
    return _facts(entry)


def usual_api_key_variable(kind: str) -> str:
    """The environment variable that a kind's key is usually found in: OPENAI_API_KEY, ANTHROPIC_API_KEY …"""
    return _API_KEY_VARIABLES.get(kind) or f"{kind.upper().replace('-', '_')}_API_KEY"


def litellm_directory() -> Path:
    """Where litellm is installed, found without importing it; raises ModuleNotFoundError where it is not."""
    spec = importlib.util.find_spec("litellm")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("litellm is not installed.", name="litellm")
    return Path(spec.submodule_search_locations[0])


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = orjson.loads((litellm_directory() / TABLE).read_bytes())
    del table["sample_spec"]
    return table


def _is_of(kind: str, entry: dict[str, Any]) -> bool:
    """litellm splits some kinds: vertex_ai-language-models, bedrock_converse."""
    provider = entry.get("litellm_provider") or ""
    return provider in {kind, _PARTS.get(kind)} or provider.startswith(f"{kind}-")


def _facts(entry: dict[str, Any]) -> ModelFacts:
    return ModelFacts(
        input_price_per_mtok=_price(entry.get("input_cost_per_token")),
        output_price_per_mtok=_price(entry.get("output_cost_per_token")),
        cached_input_price_per_mtok=_price(entry.get("cache_read_input_token_cost")),
        context_window=entry.get("max_input_tokens") or None,
        max_output_tokens=entry.get("max_output_tokens") or None,
        mode=entry.get("mode"),
    )


def _price(per_token: float | None) -> Decimal | None:
    if per_token is None:
        return None
    # By way of its shortest text: 7.5e-08 is meant, not the binary fraction next to it. Adding 0 turns 1E+1 into 10.
    return (Decimal(str(per_token)) * TOKENS_PER_PRICE).normalize() + 0
