"""One call to a provider behind litellm: what came back for it, whoever carried it."""

from collections.abc import Mapping
from typing import Any

from proxy.upstreams.failures import MalformedAnswer, UpstreamFailure
from proxy.upstreams.http import Headers, Pool, Response

MAX_ERROR_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class Exchange:
    """`status`, `headers` and `error_body` are the provider's; `failure` is what broke the call off, if something did.

    `fields` are added to the JSON body that litellm wrote, under what it already says. `marks` are bytes of which one
    must come by before the answer counts as complete.
    """

    def __init__(self, *, connect_timeout_s: float, fields: Mapping[str, Any], marks: tuple[bytes, ...] = ()) -> None:
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.error_body = b""
        self.failure: UpstreamFailure | None = None
        self.connect_timeout_s = connect_timeout_s
        self._fields = fields
        self._marks = marks
        self._marked = not marks
        self._tail = b""
        self._size = 0

    @property
    def is_complete(self) -> bool:
        """Whether the answer came without a break, with one of its marks."""
        return self._marked and self.failure is None

    def close(self) -> None:
        """End the call: an answer that was not read to its end loses its connection."""

    def merged(self, written: dict[str, Any]) -> dict[str, Any]:
        """With our fields; where they meet, what litellm has written stays, and objects are joined (Gemini's
        generationConfig).
        """
        merged = {**self._fields, **written}
        for name, value in self._fields.items():
            if isinstance(value, dict) and isinstance(merged[name], dict):
                merged[name] = {**value, **merged[name]}
        return merged

    def failed(self, failure: UpstreamFailure) -> UpstreamFailure:
        """Remember what broke the call off; returns it."""
        self.failure = failure
        return failure

    def watch(self, data: bytes) -> None:
        """Look for the marks in a piece of the answer. Raises MalformedAnswer beyond 64 MB."""
        self._size += len(data)
        if self._size > MAX_ANSWER_BYTES:
            raise self.failed(MalformedAnswer("The provider answered with more than 64 MB."))
        if not self._marked:
            window = self._tail + data
            self._marked = any(mark in window for mark in self._marks)
            self._tail = window[-64:]


class PooledExchange(Exchange):
    """A call that goes out through our own client."""

    def __init__(
        self, pool: Pool, *, connect_timeout_s: float, fields: Mapping[str, Any], marks: tuple[bytes, ...] = ()
    ) -> None:
        super().__init__(connect_timeout_s=connect_timeout_s, fields=fields, marks=marks)
        self._pool = pool
        self._answer: Response | None = None

    def close(self) -> None:
        if self._answer:
            self._answer.close()

    async def post(self, url: str, headers: Headers, body: bytes) -> None:
        """Send; `status` tells what the answer is, of which only an error's body is read.

        Raises ConnectFailed, ConnectionBroken, TimedOut, CredentialRejected; MalformedAnswer for a redirect.
        """
        try:
            answer = self._answer = await self._pool.post(
                url, "", body, connect_timeout_s=self.connect_timeout_s, headers=headers
            )
            self.status, self.headers = answer.status, answer.headers
            if answer.status >= 400:
                self.error_body = await self._read_error(answer)
        except UpstreamFailure as failure:
            raise self.failed(failure) from failure.__cause__
        if 300 <= answer.status < 400:
            raise self.failed(MalformedAnswer("The provider answered with a redirect.", status=answer.status))

    async def read(self) -> bytes:
        """What has arrived of the answer, b"" at its end. Raises ConnectionBroken, or MalformedAnswer beyond 64 MB."""
        if self._answer is None:
            return b""
        try:
            data = await self._answer.read()
        except UpstreamFailure as failure:
            raise self.failed(failure) from failure.__cause__
        self.watch(data)
        return data

    async def read_whole(self) -> bytes:
        """The whole answer. Raises as `read` does."""
        pieces = list[bytes]()
        while data := await self.read():
            pieces.append(data)
        return b"".join(pieces)

    async def _read_error(self, answer: Response) -> bytes:
        body = await answer.read()
        while len(body) < MAX_ERROR_BYTES and (data := await answer.read()):
            body += data
        return body[:MAX_ERROR_BYTES]
