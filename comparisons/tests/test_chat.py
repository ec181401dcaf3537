"""`model: "compare:a,b"` in a chat, with the official client."""

from collections.abc import Callable
from typing import Any

import openai
import pytest

from comparisons.models import Comparison
from comparisons.recording.drain import drain
from comparisons.tests.conftest import PROMPT
from conftest import Cast, Catalogue, LiveGateway
from proxy.models import Usage
from proxy.tests.fake_provider import FakeProvider, chunks, error, stream

MESSAGES: Any = [{"role": "user", "content": PROMPT}]


@pytest.fixture
def sdk(gateway: LiveGateway, cast: Cast, catalogue: Catalogue, provider: FakeProvider) -> openai.OpenAI:
    for name, words in (("one", ("Par", "is")), ("two", ("Lyon",))):
        catalogue.model(f"fake/{name}")
        provider.on(name, stream(chunks(*words, usage=(7, len(words)))))
    catalogue.model("fake/broken")
    provider.on("broken", error(503, "overloaded"))
    return gateway.sdk(cast.alice)


def test_one_choice_for_each_model(sdk: openai.OpenAI, recorded: Callable[[int], list[Usage]]):
    answer = sdk.chat.completions.create(model="compare:fake/one, fake/two", messages=MESSAGES, temperature=0)
    assert answer.model == "compare:fake/one, fake/two"
    assert [(choice.index, choice.message.content) for choice in answer.choices] == [(0, "Paris"), (1, "Lyon")]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (14, 3)
    recorded(2)
    drain()
    stored = Comparison.objects.get()
    assert (stored.status, stored.source, stored.params) == ("complete", "chat", {"temperature": 0})
    assert answer.model_extra is not None
    assert answer.model_extra["comparison"]["id"] == stored.pk


def test_a_model_that_fails_is_a_choice_that_says_so(sdk: openai.OpenAI):
    answer = sdk.chat.completions.create(model="compare:fake/broken,fake/two", messages=MESSAGES)
    broken, two = answer.choices
    assert (broken.message.content, broken.finish_reason) == (None, "error")
    assert broken.model_extra is not None
    assert broken.model_extra["error"]["code"] == "overloaded"
    assert two.message.content == "Lyon"


@pytest.mark.parametrize("streamed", [False, True])
def test_502_where_no_model_answers(streamed: bool, sdk: openai.OpenAI):
    with pytest.raises(openai.InternalServerError) as refused:
        sdk.chat.completions.create(model="compare:fake/broken,fake/broken", messages=MESSAGES, stream=streamed)
    assert refused.value.status_code == 502
    assert len(refused.value.response.json()["choices"]) == 2
    assert refused.value.code == "none_answered"


def test_streamed_each_chunk_names_its_choice(sdk: openai.OpenAI):
    said = {0: "", 1: "", 2: ""}
    ends: dict[int, Any] = {}
    usage = None
    stream = sdk.chat.completions.create(
        model="compare:fake/one,fake/two,fake/broken",
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            said[choice.index] += choice.delta.content or ""
            ends[choice.index] = choice.finish_reason or ends.get(choice.index)
    assert said == {0: "Paris", 1: "Lyon", 2: ""}
    assert ends == {0: "stop", 1: "stop", 2: "error"}
    assert usage is not None
    assert usage.total_tokens == 17


def test_streamed_every_chunk_has_a_choice_as_the_usual_loop_takes_for_granted(sdk: openai.OpenAI):
    stream = sdk.chat.completions.create(model="compare:fake/one,fake/broken", messages=MESSAGES, stream=True)
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Paris"
    assert [chunk for chunk in chunks if chunk.model_extra and chunk.model_extra.get("comparison")] == [chunks[-1]]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "one model": ({"model": "compare:fake/one"}, "model"),
    "an empty name": ({"model": "compare:fake/one,"}, "model"),
    "fallbacks": ({"extra_body": {"fallbacks": ["fake/two"]}}, "fallbacks"),
    "several choices": ({"n": 2}, "n"),
}


@pytest.mark.parametrize(("fields", "param"), WRONG.values(), ids=WRONG.keys())
def test_what_a_comparison_cannot_do_is_refused(fields: dict[str, Any], param: str, sdk: openai.OpenAI):
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(**{"model": "compare:fake/one,fake/two", "messages": MESSAGES, **fields})
    assert refused.value.param == param


def test_an_unknown_model_is_named(sdk: openai.OpenAI):
    with pytest.raises(openai.NotFoundError) as refused:
        sdk.chat.completions.create(model="compare:fake/one,gone", messages=MESSAGES)
    assert "“gone”" in str(refused.value)


def test_nothing_is_stored_where_the_client_says_so(sdk: openai.OpenAI, recorded: Callable[[int], list[Usage]]):
    sdk.chat.completions.create(model="compare:fake/one,fake/two", messages=MESSAGES, store=False)
    recorded(2)
    drain()
    assert not Comparison.objects.exists()
