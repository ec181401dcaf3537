"""The bodies of `/v1/chat/completions` and its kin. What is checked of them, and how, stands in `proxy.chat`."""

from typing import Any

from rest_framework import serializers

from proxy.chat import MOST_NAMES
from proxy.schema.fields import OBJECT, TEXT, PassedThroughSerializer, SchemaField, either, list_of, optional


class NameField(serializers.RegexField):
    """The name of a chain or model."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(r"\S", **kwargs)


class ChatMessageSerializer(PassedThroughSerializer):
    """One turn of the chat."""

    role = serializers.CharField(help_text="`system`, `developer`, `user`, `assistant` or `tool`.")
    content = SchemaField(
        either(TEXT, list_of(OBJECT)), **optional("A text, or a list of parts: texts, images, audio, files.")
    )
    name = serializers.CharField(**optional("Tells people of the same role apart."))
    tool_calls = SchemaField(list_of(OBJECT), **optional("The calls that the model asked for."))
    tool_call_id = serializers.CharField(**optional("The call that a `tool` message answers."))


class StreamOptionsSerializer(PassedThroughSerializer):
    """How to stream."""

    include_usage = serializers.BooleanField(**optional("End the stream with a chunk that has `usage` and no choices."))


class ChatCompletionRequestSerializer(PassedThroughSerializer):
    """OpenAI's request. Fields that are not listed here go to the provider as they are.

    Refused are fields that would say where a call goes or with whose credential, such as `api_base`, `api_key` and
    `extra_headers`: that is the gateway's business.
    """

    model = NameField(
        help_text="The chain or model to ask. `compare:a,b` asks 2 to 10 of them and answers one choice for each."
    )
    messages = serializers.ListField(child=ChatMessageSerializer(), min_length=1)
    models = serializers.ListField(
        child=NameField(),
        max_length=MOST_NAMES - 1,
        **optional(f"Further chains and models to try, in order. At most {MOST_NAMES} names in all."),
    )
    fallbacks = serializers.ListField(
        child=NameField(), max_length=MOST_NAMES - 1, **optional("The same as `models`, and tried after those.")
    )
    stream = serializers.BooleanField(**optional("Answer with server-sent events while the model writes."))
    stream_options = StreamOptionsSerializer(**optional())
    max_completion_tokens = serializers.IntegerField(min_value=1, **optional("The most tokens to write."))
    max_tokens = serializers.IntegerField(min_value=1, **optional("The older name of `max_completion_tokens`."))
    temperature = serializers.FloatField(**optional("How free to choose words: 0 hardly, 2 very."))
    top_p = serializers.FloatField(**optional("Choose among the likeliest words that make up this share."))
    n = serializers.IntegerField(min_value=1, **optional("How many answers to write."))
    stop = SchemaField(either(TEXT, list_of(TEXT)), **optional("Where to stop writing."))
    seed = serializers.IntegerField(**optional("With the same seed, aim at the same answer."))
    presence_penalty = serializers.FloatField(**optional("Against words that have been used."))
    frequency_penalty = serializers.FloatField(**optional("Against words by how often they have been used."))
    logit_bias = SchemaField(OBJECT, **optional("Make tokens more or less likely, by their ids."))
    logprobs = serializers.BooleanField(**optional("Tell how likely each token was."))
    top_logprobs = serializers.IntegerField(**optional("And how likely so many others were in its place."))
    response_format = SchemaField(OBJECT, **optional("`json_object`, or `json_schema` with a schema to follow."))
    tools = SchemaField(list_of(OBJECT), **optional("Functions that the model may call."))
    tool_choice = SchemaField(either(TEXT, OBJECT), **optional("`auto`, `none`, `required`, or one function."))
    parallel_tool_calls = serializers.BooleanField(**optional("Whether several calls may come at once."))
    reasoning_effort = serializers.CharField(**optional("How long to think, such as `low` or `high`."))
    modalities = SchemaField(list_of(TEXT), **optional("What to answer with: `text`, `audio`."))
    audio = SchemaField(OBJECT, **optional("Voice and format of an audio answer."))
    metadata = SchemaField(OBJECT, **optional("Kept by the provider with the answer."))
    user = serializers.CharField(**optional("Your name for the end user, passed to the provider."))


class FallbackCompletionRequestSerializer(ChatCompletionRequestSerializer):
    """OpenAI's request with a list of chains and models."""

    model = NameField(**optional("A chain or model to ask before the list."))
    models = serializers.ListField(
        child=NameField(), min_length=1, max_length=MOST_NAMES, help_text="Chains and models to try, in order."
    )
