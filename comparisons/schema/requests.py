"""The bodies of comparisons' routes. What is checked of them, and how, stands in `comparisons.request`."""

from typing import Any

from rest_framework import serializers

from comparisons.request import FEWEST_SLOTS, LONGEST_TIMEOUT_S, MOST_SLOTS
from proxy.options import LONGEST_TAG, MOST_TAGS
from proxy.schema.fields import SchemaField, either, list_of, optional
from proxy.schema.requests import ChatMessageSerializer

NAME = {"type": "string", "pattern": r"\S"}
MAYBE_OBJECT = {"type": ["object", "null"], "additionalProperties": True}
SLOT = either(
    NAME,
    {
        "type": "object",
        "properties": {"model": NAME, "label": {"type": ["string", "null"]}, "params": MAYBE_OBJECT},
        "required": ["model"],
        "additionalProperties": False,
    },
)


def slots(fewest: int) -> dict[str, Any]:
    return {**list_of(SLOT), "minItems": fewest, "maxItems": MOST_SLOTS}


class HowToCompareSerializer(serializers.Serializer[Any]):
    """How to ask."""

    params = SchemaField(MAYBE_OBJECT, **optional("Parameters for every slot; a slot's own come first."))
    stream = serializers.BooleanField(**optional("Answer with server-sent events while the models write."))
    timeout_s = serializers.FloatField(
        max_value=LONGEST_TIMEOUT_S, **optional("The longest that one slot may take; else what its chain allows.")
    )
    cache = serializers.BooleanField(**optional("Whether cached answers are welcome. False unless asked."))
    fallbacks = serializers.BooleanField(
        **optional("Whether another model of a chain may answer for the first. False unless asked.")
    )
    title = serializers.CharField(**optional("For the history."))
    tags = SchemaField(
        {
            "type": ["array", "null"],
            "items": {"type": "string"},
            "maxItems": MOST_TAGS,
        },
        required=False,
        help_text=f"To find it by; up to {LONGEST_TAG} characters each.",
    )
    store = serializers.BooleanField(
        **optional("False: nothing is kept after the answer; with an `Idempotency-Key` the answer itself, for a day.")
    )
    on_disconnect = serializers.ChoiceField(
        ["finish", "cancel"], **optional("What becomes of it when you hang up. It finishes unless asked.")
    )


class ComparisonRequestSerializer(HowToCompareSerializer):
    """What to ask of whom. Send either `messages` or `prompt`."""

    models = SchemaField(
        slots(1),
        help_text="Models and chains, by name or with a label and parameters of their own; at least "
        f"{FEWEST_SLOTS}, with `from_request` at least one.",
    )
    messages = serializers.ListField(child=ChatMessageSerializer(), min_length=1, **optional("As in a chat."))
    prompt = serializers.CharField(**optional("The same as one message of the user."))
    from_request = serializers.CharField(
        **optional("A request id: its stored answer is slot 0, for free, and what it asked is asked of the models.")
    )


class RerunRequestSerializer(HowToCompareSerializer):
    """What to ask otherwise than the first time; the question stays."""

    models = SchemaField(slots(1), required=False, help_text="Other models; the same ones unless given.")


class VoteRequestSerializer(serializers.Serializer[Any]):
    """A verdict."""

    winner = SchemaField(either({"type": "integer"}, {"enum": ["tie", "all_bad"]}))
    note = serializers.CharField(**optional("Why."))


class NoteRequestSerializer(serializers.Serializer[Any]):
    """A note."""

    text = serializers.CharField()
