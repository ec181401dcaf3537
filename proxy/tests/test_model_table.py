"""What litellm's bundled table says of models, read without litellm."""

import importlib
import subprocess
import sys
from decimal import Decimal

import pytest

from proxy.upstreams.model_table import OPENAI_WIRE_BASE_URLS, ModelFacts, lookup, usual_api_key_variable


def test_a_models_prices_are_exact_and_for_a_million_tokens():
    facts = lookup("openai", "gpt-4o-mini")

    assert facts == ModelFacts(
        input_price_per_mtok=Decimal("0.15"),
        output_price_per_mtok=Decimal("0.6"),
        cached_input_price_per_mtok=Decimal("0.075"),
        context_window=128_000,
        max_output_tokens=16_384,
        mode="chat",
    )
    assert str(facts.input_price_per_mtok) == "0.15"


@pytest.mark.parametrize(
    "kind, model",
    [
        ("anthropic", "claude-haiku-4-5"),  # under its bare name
        ("gemini", "gemini-2.5-flash"),  # under gemini/…
        ("vertex_ai", "gemini-2.5-flash"),  # vertex_ai-language-models
        ("bedrock", "anthropic.claude-3-5-haiku-20241022-v1:0"),
    ],
)
def test_a_model_is_found_under_its_providers_name_for_it(kind: str, model: str):
    facts = lookup(kind, model)

    assert facts is not None
    assert facts.mode == "chat"
    assert facts.context_window is not None
    assert facts.input_price_per_mtok is not None
    assert facts.input_price_per_mtok > 0


def test_one_providers_model_is_not_anothers():
    assert lookup("openai", "claude-haiku-4-5") is None


def test_an_unknown_model_has_no_facts():
    assert lookup("openai", "gpt-of-the-future") is None
    assert lookup("openai", "sample_spec") is None


def test_an_embedding_model_has_a_window_and_no_output_limit():
    facts = lookup("openai", "text-embedding-3-small")

    assert facts is not None
    assert (facts.mode, facts.context_window, facts.max_output_tokens) == ("embedding", 8191, None)


@pytest.mark.parametrize(
    "kind, variable",
    [
        ("openai", "OPENAI_API_KEY"),
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("together_ai", "TOGETHERAI_API_KEY"),
        ("bedrock", "AWS_BEARER_TOKEN_BEDROCK"),
    ],
)
def test_a_kinds_key_has_a_usual_variable(kind: str, variable: str):
    assert usual_api_key_variable(kind) == variable


# Where ours is another on purpose: DeepSeek's stable address, and Ollama's for OpenAI's wire.
OUR_OWN = {"deepseek", "ollama"}


def test_addresses_are_those_that_litellm_uses():
    litellm = importlib.import_module("litellm")  # takes seconds: only here, and not for the tests beside

    for kind, address in OPENAI_WIRE_BASE_URLS.items():
        theirs = litellm.get_llm_provider(model=f"{kind}/a-model")[3]
        assert theirs in {address, None} or kind in OUR_OWN, kind


def test_reading_the_table_does_not_import_litellm():
    code = "import sys; from proxy.upstreams import model_table; model_table.lookup('a', 'b'); print(*sys.modules)"

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "proxy.upstreams.model_table" in printed.split()
    assert "litellm" not in printed.split()
