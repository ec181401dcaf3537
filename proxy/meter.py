"""Reading an answer as it passes: is it content yet, is it whole, what did it use."""

from collections.abc import Iterable
from typing import Any

from proxy.upstreams.base import Answer, Event, TokenCount
from proxy.upstreams.delivered import Delivered
from proxy.upstreams.failures import EmptyAnswer, MalformedAnswer, StreamCut, from_stream_error
from proxy.upstreams.text_frame import NOT_SAID

# A choice that ended for one of these reasons is an answer even without a word: the model was not allowed to say more.
HONESTLY_EMPTY = frozenset({"length", "content_filter"})


class Meter:
    """What one attempt has delivered. Feed it every event of a stream, in order."""

    def __init__(self) -> None:
        self.tokens: TokenCount | None = None
        self.delivered = Delivered()
        self._finish_reasons: dict[int, str | None] = {}

    @property
    def has_content(self) -> bool:
        return self.delivered.pieces > 0

    def feed(self, events: Iterable[Event]) -> None:
        """Raises the failure that an `{"error": …}` event stands for, MalformedAnswer for choices that are none."""
        for event in events:
            if event.text:  # another piece of a choice that a chunk before it has begun
                self.delivered.add(event.text)
            elif (data := event.data) is not None:
                self._read(data)

    def take(self, answer: Answer) -> None:
        """Read a whole completion; raises MalformedAnswer or EmptyAnswer where it is none."""
        data = answer.data
        if data.get("error") and not data.get("choices"):
            raise from_stream_error(data["error"])
        if not data.get("choices"):
            raise MalformedAnswer("The provider's answer has no choices.")
        self.tokens = answer.tokens
        try:
            for choice in data["choices"]:
                self._read_choice({**choice, "delta": choice["message"]})
        except (AttributeError, KeyError, TypeError) as error:
            raise MalformedAnswer("The provider's answer has choices that are not OpenAI's.") from error
        self._require_content()

    def require_whole(self) -> None:
        """At a stream's end: raises StreamCut unless every choice has a finish_reason, EmptyAnswer without content."""
        if not self._finish_reasons or None in self._finish_reasons.values():
            raise StreamCut("The provider ended the stream before the answer was complete.")
        self._require_content()

    def _require_content(self) -> None:
        if not self.has_content and not HONESTLY_EMPTY.intersection(self._finish_reasons.values()):
            raise EmptyAnswer("The provider's answer was empty.")

    def _read(self, data: dict[str, Any]) -> None:
        if data.get("error"):
            raise from_stream_error(data["error"])
        if (usage := data.get("usage")) and (tokens := TokenCount.from_usage(usage)):
            self.tokens = tokens
        try:
            for choice in data.get("choices") or ():
                self._read_choice(choice)
        except (AttributeError, TypeError) as error:
            raise MalformedAnswer("The provider streamed choices that are not OpenAI's.") from error

    def _read_choice(self, choice: dict[str, Any]) -> None:
        index, reason = choice.get("index") or 0, choice.get("finish_reason")
        if reason or index not in self._finish_reasons:
            # A finish reason is a text, or none yet; whatever else a provider puts there is a reason unknown to us.
            self._finish_reasons[index] = str(reason) if reason else None
        if delta := choice.get("delta"):
            for text in texts_of(delta):
                self.delivered.add(text)


def texts_of(message: dict[str, Any]) -> list[str]:
    """What a message or delta says: its content, reasoning, refusal and tool calls, as texts to count tokens of."""
    return [
        value if isinstance(value, str) else str(value)
        for name, value in message.items()
        if value and name not in NOT_SAID
    ]
