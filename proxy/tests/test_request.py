"""A request as the views of the hot path see it: what REST framework's own would say, at a fraction of the cost."""

import pytest
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.request import Request

from proxy.http.request import Headers, JSONRequest, WholeRequest


def asked(body: bytes = b'{"a": [1]}', content_type: str = "application/json") -> JSONRequest:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode()), (b"x-b", b"1")]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    return JSONRequest(WholeRequest(scope, body))


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_json_is_decoded(content_type: str):
    assert asked(content_type=content_type).data == {"a": [1]}


def test_no_body_at_all_is_an_empty_one():
    assert asked(b"").data == Request(asked(b"")._request).data


def test_another_content_type_is_refused_as_rest_framework_does():
    with pytest.raises(UnsupportedMediaType):
        _ = asked(content_type="text/csv").data


def test_a_body_that_could_not_be_read_is_empty_for_whoever_asks_again():
    request = asked(b"{oops")
    with pytest.raises(ParseError):
        _ = request.data
    assert request.data == {}


def test_headers_are_found_in_any_case():
    headers = asked().headers
    assert (headers["X-B"], headers.get("x-B"), headers.get("X-C", "none")) == ("1", "1", "none")
    assert "Content-Type" in headers
    assert "x-c" not in headers
    assert list(headers) == ["content-type", "content-length", "x-b"]


def test_several_headers_of_one_name_are_joined():
    assert dict(Headers([(b"accept", b"a"), (b"x-b", b"1"), (b"accept", b"b")])) == {"accept": "a,b", "x-b": "1"}
