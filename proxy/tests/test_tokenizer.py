"""Counting tokens, offline, for any content."""

from typing import Any

import pytest
import tiktoken

from proxy.upstreams.tokenizer import TOKENS_PER_IMAGE, count_prompt_tokens, count_tokens

PROSE = "The quick brown fox jumps over the lazy dog. "


def test_known_texts_have_their_known_counts():
    assert count_tokens("gpt-4o", "tiktoken is great!") == 6
    assert count_tokens("gpt-4", "tiktoken is great!") == 6
    assert count_tokens("gpt-4", "お誕生日おめでとう") == 9
    assert count_tokens("gpt-4o", "") == 0


def test_a_chat_counts_as_openai_counts_it():
    """The example of OpenAI's cookbook, which the API bills with 124 tokens for gpt-4o-mini (129 for gpt-4)."""
    texts = [
        (
            "system",
            "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
        ),
        ("system", "New synergies will help drive top-line growth.", "example_user"),
        ("system", "Things working well together will increase revenue.", "example_assistant"),
        (
            "system",
            "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
            "example_user",
        ),
        ("system", "Let's talk later when we're less busy about how to do better.", "example_assistant"),
        (
            "user",
            "This late pivot means we don't have time to boil the ocean for the client deliverable.",
        ),
    ]
    messages = [dict(zip(("role", "content", "name"), text, strict=False)) for text in texts]

    assert count_prompt_tokens("gpt-4o-mini", messages, None) == 124
    assert count_prompt_tokens("gpt-4", messages, None) == 129


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "meta-llama/Llama-3.3-70B", "", "davinci", "openai/gpt-4o"])
def test_any_model_has_an_encoding(model: str):
    assert count_tokens(model, PROSE * 100) == pytest.approx(1000, abs=5)


def test_special_tokens_are_text():
    assert count_tokens("gpt-4o", "<|endoftext|>") > 1


def test_counting_needs_no_network(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tiktoken.load.read_file", lambda path: pytest.fail(f"{path} was fetched"))
    tiktoken.registry.ENCODINGS.clear()

    assert count_tokens("gpt-4o-2024-08-06", "Hello") == 1
    assert count_tokens("gpt-4-0613", "Hello") == 1


@pytest.mark.parametrize("text", ["a", " ", "\n", ".", "汉", "👩‍👩‍👧‍👦", "aB3", "\x00", "\ud800"])
def test_a_million_times_the_same_is_counted(text: str):
    assert count_tokens("gpt-4o", text * 1_000_000) > 1000


def test_a_text_cut_into_pieces_counts_about_the_same():
    encoding = tiktoken.get_encoding("o200k_base")
    text = PROSE * 5000

    assert count_tokens("gpt-4o", text) == pytest.approx(len(encoding.encode_ordinary(text)), rel=0.002)


def test_an_image_counts_as_a_constant_and_not_as_its_bytes():
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    text = {"type": "text", "text": "What is this?"}
    without = count_prompt_tokens("gpt-4o", [{"role": "user", "content": [text]}], None)

    assert (
        count_prompt_tokens("gpt-4o", [{"role": "user", "content": [text, image]}], None) == without + TOKENS_PER_IMAGE
    )


def test_tools_and_tool_calls_count():
    hello = [{"role": "user", "content": "Hello"}]
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}
    call = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    plain = count_prompt_tokens("gpt-4o", hello, None)

    assert count_prompt_tokens("gpt-4o", hello, [tool]) > plain + 10
    assert count_prompt_tokens("gpt-4o", [*hello, {"role": "assistant", "tool_calls": [call]}], None) > plain + 10


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [None, 5, "text", []],
        [{"role": 1, "content": {"a": 2**80}}],
        [{"content": [None, 5, {"type": "image_url"}, {"type": "text", "text": None}, {"type": 3}]}],
        [{"role": "user", "content": "\ud800", "name": ["x"]}],
        [{"role": "user", "content": [{"type": "text", "text": {"\ud800": "\ud800"}}]}],
    ],
)
def test_odd_content_is_counted_and_not_refused(messages: list[Any]):
    assert count_prompt_tokens("gpt-4o", messages, [None, {"name": "\ud800"}]) > 0
