"""A request on the hot path, as views see it."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from io import BytesIO
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.urls import ResolverMatch
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Empty, Request

from accounts.parsers import StrictJSONParser, parse_json
from proxy.http.asgi import Scope


class Headers(Mapping[str, str]):
    """A request's headers; their names in any case."""

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        """From ASGI's list, whose names are in lower case. Several of one name are joined, as Django does."""
        self._values = {_decoded_name(name): value.decode("latin-1") for name, value in raw}
        if len(self._values) < len(raw):
            self._values = {name: ",".join(_values_of(name, raw)) for name in self._values}

    def get(self, name: str, default: Any = None) -> Any:
        return self._values.get(name.lower(), default)

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class WholeRequest(ASGIRequest):
    """Django's request, with its whole body. What Django makes of all headers is made when it is asked for."""

    _read_started = _post_parse_error = False

    def __init__(self, scope: Scope, body: bytes, match: ResolverMatch | None = None) -> None:
        self.scope = scope
        self.path = self.path_info = scope["path"]
        self.method = scope["method"]
        self.resolver_match = match
        self._body = body

    @cached_property
    def META(self) -> dict[str, Any]:  # type: ignore[override]  # in Django these are attributes
        meta = ASGIRequest(self.scope, BytesIO()).META
        meta["CONTENT_LENGTH"] = str(len(self._body))  # a chunked body has none, and REST framework goes by it
        return meta

    @cached_property
    def content_type(self) -> str | None:  # type: ignore[override]
        return ASGIRequest(self.scope, BytesIO()).content_type

    @cached_property
    def content_params(self) -> dict[str, str] | None:  # type: ignore[override]
        return ASGIRequest(self.scope, BytesIO()).content_params

    @cached_property
    def _stream(self) -> BytesIO:  # type: ignore[override]
        return BytesIO(self._body)


class JSONRequest(Request):
    """REST framework's request, at a fifth of the cost.

    Its body is whole, and decoded at once where it says that it is JSON; its headers are those of the ASGI scope.
    Everything else is left to REST framework, with what it does about a missing or foreign body.
    """

    _request: WholeRequest
    headers: Headers  # type: ignore[assignment]  # REST framework passes on Django's: made of META, at length
    # What REST framework sets for each request.
    parsers, negotiator, authenticators = (StrictJSONParser(),), DefaultContentNegotiation(), ()
    _data: Any = Empty
    _full_data: Any = Empty
    _files: Any = Empty
    _stream: Any = Empty

    def __init__(self, request: WholeRequest) -> None:
        self._request = request
        self.headers = Headers(request.scope["headers"])

    @property
    def parser_context(self) -> dict[str, Any]:  # type: ignore[override]  # kept, it would refer to this and back
        return {"request": self, "encoding": "utf-8"}

    @property
    def data(self) -> Any:
        if self._full_data is not Empty:
            return self._full_data
        if not self.body or not self.headers.get("content-type", "").startswith("application/json"):
            return super().data
        self._full_data = self._data = {}  # for whoever asks again after a ParseError
        self._full_data = self._data = parse_json(self.body)
        return self._full_data

    @property
    def body(self) -> bytes:
        return self._request._body

    @property
    def META(self) -> dict[str, Any]:  # type: ignore[override]  # REST framework finds it by a lookup that fails
        return self._request.META


@lru_cache(maxsize=1024)
def _decoded_name(name: bytes) -> str:
    return name.decode("latin-1")


def _values_of(name: str, raw: Sequence[tuple[bytes, bytes]]) -> list[str]:
    return [value.decode("latin-1") for other, value in raw if _decoded_name(other) == name]
