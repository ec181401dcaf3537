"""The answers of `/v1/chat/completions` and its kin: OpenAI's shapes, as providers send them."""

from rest_framework import serializers

from proxy.schema.fields import (
    OBJECT,
    TEXT,
    PassedThroughSerializer,
    SchemaField,
    constant,
    either,
    list_of,
    optional,
)


class UsageSerializer(PassedThroughSerializer):
    """Tokens, as the provider counted them."""

    prompt_tokens = serializers.IntegerField(min_value=0)
    completion_tokens = serializers.IntegerField(min_value=0)
    total_tokens = serializers.IntegerField(min_value=0)
    prompt_tokens_details = SchemaField(OBJECT, **optional("Among them `cached_tokens`."))
    completion_tokens_details = SchemaField(OBJECT, **optional("Among them `reasoning_tokens`."))


class ChatAnswerSerializer(PassedThroughSerializer):
    """What the model says: a text, calls of tools, or both."""

    role = serializers.CharField(required=False, help_text="`assistant`")
    content = SchemaField(either(TEXT, list_of(OBJECT)), **optional("Null where the model only calls tools."))
    refusal = serializers.CharField(**optional())
    tool_calls = SchemaField(list_of(OBJECT), **optional("The functions to call, with their arguments as JSON texts."))


class ChoiceSerializer(PassedThroughSerializer):
    """One answer; there are several where `n` asked for them."""

    index = serializers.IntegerField()
    message = ChatAnswerSerializer()
    finish_reason = serializers.CharField(**optional("`stop`, `length`, `tool_calls`, `content_filter`, …"))
    logprobs = SchemaField(OBJECT, **optional())


class ChatCompletionSerializer(PassedThroughSerializer):
    """The provider's own answer. `model` is the model that the provider reports."""

    id = serializers.CharField()
    object = constant("chat.completion")
    created = serializers.IntegerField(help_text="Seconds since 1970.")
    model = serializers.CharField()
    choices = ChoiceSerializer(many=True)
    usage = UsageSerializer(**optional())
    system_fingerprint = serializers.CharField(**optional())
    service_tier = serializers.CharField(**optional())


class ChunkChoiceSerializer(PassedThroughSerializer):
    """What is new of one answer."""

    index = serializers.IntegerField()
    delta = ChatAnswerSerializer(help_text="What is new since the last chunk.")
    finish_reason = serializers.CharField(**optional("Set in the last chunk of the choice."))
    logprobs = SchemaField(OBJECT, **optional())


class ChatCompletionChunkSerializer(PassedThroughSerializer):
    """A piece of a streamed answer."""

    id = serializers.CharField()
    object = constant("chat.completion.chunk")
    created = serializers.IntegerField(help_text="Seconds since 1970.")
    model = serializers.CharField()
    choices = ChunkChoiceSerializer(many=True, help_text="Empty in the chunk that has `usage`.")
    usage = UsageSerializer(**optional("Only with `stream_options.include_usage`, in a chunk of its own."))
    system_fingerprint = serializers.CharField(**optional())
    service_tier = serializers.CharField(**optional())
