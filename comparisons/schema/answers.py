"""What a comparison looks like, wherever it is answered."""

from typing import Any

from rest_framework import serializers

from comparisons.models.answer import AnswerStatus
from comparisons.models.comparison import Source, Status
from proxy.schema.errors import AttemptSerializer, CallErrorSerializer
from proxy.schema.fields import OBJECT, SchemaField, constant, either, list_of

ID = "cmp_019a5c1e7b2f0123456789abcdef0123"
URL = f"https://gateway.example.com/comparisons/{ID}"
NUMBER = {"type": "integer"}
MAYBE_OBJECT = {"type": ["object", "null"], "additionalProperties": True}


class AnswerMetricsSerializer(serializers.Serializer[Any]):
    """Null where nothing was measured."""

    ttft_ms = serializers.IntegerField(allow_null=True, help_text="Until the first token.")
    latency_ms = serializers.IntegerField(allow_null=True, help_text="Until the answer was whole.")
    output_tokens_per_s = serializers.FloatField(allow_null=True, help_text="While it was writing.")


class AnswerErrorSerializer(serializers.Serializer[Any]):
    """Why a model did not answer."""

    type = serializers.CharField()
    code = serializers.CharField()
    status = serializers.IntegerField(help_text="What a plain call would have been answered with.")
    message = serializers.CharField()
    attempts = AttemptSerializer(many=True, required=False)


class AnswerHeadSerializer(serializers.Serializer[Any]):
    """A slot that is asked."""

    slot = serializers.IntegerField(min_value=0)
    label: Any = serializers.CharField()
    requested_model = serializers.CharField()
    request_id = serializers.CharField(allow_null=True, help_text="Its row in the usage.")


class AnswerOutlineSerializer(AnswerHeadSerializer):
    """An answer without its text."""

    params = SchemaField(OBJECT, help_text="Of this slot alone.")
    resolved_model = serializers.CharField(allow_null=True, help_text="The model that answered.")
    provider = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(AnswerStatus.values)
    metrics = AnswerMetricsSerializer()
    usage = SchemaField(MAYBE_OBJECT, help_text="As the provider reported it, else as the gateway counted.")
    cost_usd = serializers.CharField(help_text="US dollars, six decimals; 0 where the price is not known.")
    error = AnswerErrorSerializer(allow_null=True)


class AnswerSerializer(AnswerOutlineSerializer):
    """One slot's answer. What came of one that broke off stands in `content`."""

    response = SchemaField(MAYBE_OBJECT, help_text="The whole chat.completion; null unless the status is ok.")
    content = serializers.CharField(allow_blank=True, help_text="The text of the first choice.")


class SummarySerializer(serializers.Serializer[Any]):
    """Slots that are equal stand side by side."""

    ok = serializers.IntegerField()
    failed = serializers.IntegerField()
    fastest = SchemaField(list_of(NUMBER))
    cheapest = SchemaField(list_of(NUMBER))
    wall_ms = serializers.IntegerField(allow_null=True)
    cost_usd = serializers.CharField()


class ComparisonHeadSerializer(serializers.Serializer[Any]):
    """A comparison without its answers."""

    id = serializers.CharField()
    object = constant("comparison")
    status = serializers.ChoiceField(Status.values)
    title = serializers.CharField(allow_blank=True)
    prompt = serializers.CharField(allow_blank=True, help_text="The text of the user's last message.")
    tags = SchemaField(list_of({"type": "string"}))
    author = serializers.CharField(allow_blank=True)
    source: Any = serializers.ChoiceField(Source.values)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    successor_of = serializers.CharField(allow_null=True, help_text="The comparison that this one runs again.")
    from_request = serializers.CharField(allow_null=True, help_text="The request whose stored answer is slot 0.")
    url = serializers.CharField(help_text="Its page.")
    summary = SummarySerializer()


class ComparisonSerializer(ComparisonHeadSerializer):
    """One prompt, answered by several models."""

    answers: Any = AnswerSerializer(many=True)


class ComparisonFailedSerializer(ComparisonSerializer):
    """A comparison that no model answered."""

    error = CallErrorSerializer()


class VoteSerializer(serializers.Serializer[Any]):
    """One person's verdict."""

    object = constant("vote")
    comparison = serializers.CharField()
    voter = serializers.CharField()
    winner = SchemaField(either(NUMBER, {"enum": ["tie", "all_bad"]}), help_text="A slot, `tie` or `all_bad`.")
    blind = serializers.BooleanField(help_text="Whether the models' names were hidden.")
    note = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class NoteSerializer(serializers.Serializer[Any]):
    """What somebody wrote beside a comparison."""

    object = constant("note")
    id = serializers.IntegerField()
    comparison = serializers.CharField()
    author = serializers.CharField()
    text = serializers.CharField()
    created_at = serializers.DateTimeField()


class StoredComparisonSerializer(ComparisonSerializer):
    """A comparison with all that was asked and said about it."""

    messages = SchemaField(list_of(OBJECT))
    params = SchemaField(OBJECT)
    timeout_s = serializers.FloatField(allow_null=True)
    cache = serializers.BooleanField()
    fallbacks = serializers.BooleanField()
    successors = SchemaField(list_of({"type": "string"}), help_text="The comparisons that run this one again.")
    votes: Any = VoteSerializer(many=True)
    notes: Any = NoteSerializer(many=True)


class ListedComparisonSerializer(ComparisonHeadSerializer):
    """A comparison as lists show it: the prompt's beginning, answers without their texts."""

    answers: Any = AnswerOutlineSerializer(many=True)
    votes: Any = VoteSerializer(many=True)


class ComparisonPageSerializer(serializers.Serializer[Any]):
    """A page of the history, the newest first."""

    object = constant("list")
    data: Any = ListedComparisonSerializer(many=True)
    has_more = serializers.BooleanField()
    first_id = serializers.CharField(allow_null=True)
    last_id = serializers.CharField(allow_null=True, help_text="Send it as `after` for the next page.")


class SlotProblemSerializer(serializers.Serializer[Any]):
    """Why one slot cannot be asked."""

    slot = serializers.IntegerField()
    param = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    message = serializers.CharField()


class SlotsErrorSerializer(CallErrorSerializer):
    slots: Any = SlotProblemSerializer(many=True, required=False, help_text="Every slot that cannot be asked.")


class SlotsErrorEnvelopeSerializer(serializers.Serializer[Any]):
    """The usual error object; it names the slots that cannot be asked. Then nothing was asked, and nothing spent."""

    error = SlotsErrorSerializer()


SPENT = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
COMPLETION = {
    "id": "chatcmpl-5f0c1e",
    "object": "chat.completion",
    "created": 1_763_900_000,
    "model": "demo-echo",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": SPENT,
}
ANSWERED = {
    "slot": 0,
    "label": "A",
    "requested_model": "demo/echo",
    "params": {},
    "resolved_model": "demo/echo",
    "provider": "demo",
    "request_id": "req_0199f2a64c1e4b7d9a52c0e8f6134d7b",
    "status": "ok",
    "response": COMPLETION,
    "content": "Hello",
    "metrics": {"ttft_ms": 310, "latency_ms": 1240, "output_tokens_per_s": 61.0},
    "usage": SPENT,
    "cost_usd": "0.001230",
    "error": None,
}
UNANSWERED = {
    **ANSWERED,
    "slot": 1,
    "label": "B",
    "requested_model": "demo/down",
    "resolved_model": None,
    "provider": None,
    "request_id": "req_0199f2a64c1e4b7d9a52c0e8f6134d7c",
    "status": "error",
    "response": None,
    "content": "",
    "metrics": {"ttft_ms": None, "latency_ms": 2, "output_tokens_per_s": None},
    "usage": None,
    "cost_usd": "0.000000",
    "error": {
        "type": "upstream_error",
        "code": "connect_failed",
        "status": 502,
        "message": "No model answered: demo/down (connect_failed). Try again in a moment.",
        "attempts": [{"model": "demo/down", "status": None, "code": "connect_failed", "ms": 1}],
    },
}
HEAD = {
    "id": ID,
    "object": "comparison",
    "status": "partial",
    "title": "Greetings",
    "prompt": "Hello",
    "tags": ["demo"],
    "author": "alice",
    "source": "api",
    "created_at": "2026-11-24T10:00:00+00:00",
    "finished_at": "2026-11-24T10:00:01+00:00",
    "successor_of": None,
    "from_request": None,
    "url": URL,
    "summary": {"ok": 1, "failed": 1, "fastest": [0], "cheapest": [0], "wall_ms": 1250, "cost_usd": "0.001230"},
}
COMPARISON = {**HEAD, "answers": [ANSWERED, UNANSWERED]}
VOTE = {
    "object": "vote",
    "comparison": ID,
    "voter": "alice",
    "winner": 0,
    "blind": False,
    "note": "To the point.",
    "created_at": "2026-11-24T10:05:00+00:00",
    "updated_at": "2026-11-24T10:05:00+00:00",
}
NOTE = {
    "object": "note",
    "id": 1,
    "comparison": ID,
    "author": "alice",
    "text": "B was down again.",
    "created_at": "2026-11-24T10:06:00+00:00",
}
STORED = {
    **COMPARISON,
    "messages": [{"role": "user", "content": "Hello"}],
    "params": {},
    "timeout_s": None,
    "cache": False,
    "fallbacks": False,
    "successors": [],
    "votes": [VOTE],
    "notes": [NOTE],
}
LISTED = {
    **HEAD,
    "answers": [
        {name: value for name, value in answer.items() if name not in {"response", "content"}}
        for answer in (ANSWERED, UNANSWERED)
    ],
    "votes": [VOTE],
}
PAGE = {"object": "list", "data": [LISTED], "has_more": False, "first_id": ID, "last_id": ID}
