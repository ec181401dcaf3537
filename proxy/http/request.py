"""A request on the hot path, as views see it."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, cast

from django.core.handlers.asgi import ASGIRequest
from rest_framework.request import Empty, Request

from accounts.parsers import parse_json


class Headers(Mapping[str, str]):
    """A request's headers; their names in any case."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        """From ASGI's list, whose names are in lower case. Several of one name are joined, as Django does."""
        self._values: dict[str, str] = {}
        for name_bytes, value_bytes in raw:
            name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
            before = self._values.get(name)
            self._values[name] = value if before is None else f"{before},{value}"

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


class JSONRequest(Request):
    """REST framework's request, at a fifth of the cost.

    Its body is whole, and decoded at once where it says that it is JSON; its headers are those of the ASGI scope.
    Everything else is left to REST framework, with what it does about a missing or foreign body.
    """

    @property
    def data(self) -> Any:
        data: Any = self._full_data
        return super().data if data is Empty else data

    @property
    def META(self) -> dict[str, Any]:  # type: ignore[override]  # REST framework finds it by a lookup that fails
        return self._request.META

    def _load_data_and_files(self) -> None:
        if self.content_type.startswith("application/json") and self._has_body:
            self._full_data = self._data = {}  # for whoever asks again after a ParseError
            self._full_data = self._data = parse_json(self._request.read())
        else:
            super()._load_data_and_files()  # type: ignore[misc]  # which the stubs leave out

    @cached_property
    def headers(self) -> Headers:  # type: ignore[override]  # REST framework passes on Django's: made of META, at length
        return Headers(cast(ASGIRequest, self._request).scope["headers"])

    @property
    def _has_body(self) -> bool:
        length: str = self._request.META.get("CONTENT_LENGTH", "0")
        return length != "0"
