import logging
from typing import Any

import orjson
import pytest
import redis
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation, ValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse, UnreadablePostError
from django.test import AsyncRequestFactory, RequestFactory
from django.utils.translation import gettext_lazy
from rest_framework import exceptions as drf, serializers
from rest_framework.request import Request
from rest_framework_simplejwt.exceptions import ExpiredTokenError, InvalidToken, TokenError

from accounts.errors import (
    BodyTooLarge,
    GatewayError,
    InvalidCredential,
    InvalidRequest,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    NotJSON,
    NotPermitted,
    Overloaded,
    PartUnavailable,
    RateLimited,
    error_response,
    render_error,
)


def rendered(error: Exception) -> tuple[HttpResponse, dict[str, Any]]:
    """The response and what stands under "error"."""
    response = error_response(error, "req_1")
    body = orjson.loads(response.content)
    assert list(body) == ["error"]
    assert set(body["error"]) == {"message", "type", "param", "code", "request_id"}
    assert response["Content-Type"] == "application/json"
    return response, body["error"]


@pytest.mark.parametrize(
    "error, status, type_, code",
    [
        (InvalidRequest("No."), 400, "invalid_request_error", "invalid_request"),
        (BodyTooLarge("No."), 413, "invalid_request_error", "body_too_large"),
        (NotJSON("No."), 415, "invalid_request_error", "unsupported_media_type"),
        (NotAcceptable("No."), 406, "invalid_request_error", "not_acceptable"),
        (InvalidCredential("No."), 401, "authentication_error", "invalid_api_key"),
        (NotPermitted("No."), 403, "permission_error", "permission_denied"),
        (NotFound("No."), 404, "invalid_request_error", "not_found"),
        (MethodNotAllowed("No."), 405, "invalid_request_error", "method_not_allowed"),
        (RateLimited("No."), 429, "rate_limit_error", "rate_limit_exceeded"),
        (PartUnavailable("No."), 503, "gateway_error", "ledger_unavailable"),
        (Overloaded("No."), 503, "gateway_error", "overloaded"),
        (GatewayError("No."), 500, "gateway_error", "internal_error"),
    ],
)
def test_our_own_refusals_are_rendered_as_they_are(error: GatewayError, status: int, type_: str, code: str):
    response, body = rendered(error)

    assert response.status_code == status
    assert body == {"message": "No.", "type": type_, "param": None, "code": code, "request_id": "req_1"}


@pytest.mark.parametrize(
    "error, status, code",
    [
        (drf.ValidationError("No."), 400, "invalid_request"),
        (ValidationError("No."), 400, "invalid_request"),
        (drf.ParseError("No."), 400, "invalid_json"),
        (SuspiciousOperation("No."), 400, "invalid_request"),
        (UnreadablePostError("No."), 400, "invalid_request"),
        (drf.AuthenticationFailed("No."), 401, "invalid_api_key"),
        (drf.NotAuthenticated("No."), 401, "invalid_api_key"),
        (TokenError(gettext_lazy("No.")), 401, "invalid_api_key"),
        (ExpiredTokenError("No."), 401, "invalid_api_key"),
        (InvalidToken("No."), 401, "invalid_api_key"),
        (PermissionDenied("No."), 403, "permission_denied"),
        (drf.PermissionDenied("No."), 403, "permission_denied"),
        (Http404("No."), 404, "not_found"),
        (drf.NotFound("No."), 404, "not_found"),
        (drf.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (drf.NotAcceptable("No."), 406, "not_acceptable"),
        (RequestDataTooBig("No."), 413, "body_too_large"),
        (drf.UnsupportedMediaType("text/plain"), 415, "unsupported_media_type"),
        (drf.Throttled(wait=7), 429, "rate_limit_exceeded"),
        (drf.APIException("No."), 500, "internal_error"),
        (ValueError("No."), 500, "internal_error"),
        (RecursionError("No."), 500, "internal_error"),
        (OperationalError("No."), 503, "ledger_unavailable"),
        (InterfaceError("No."), 503, "ledger_unavailable"),
        (redis.ConnectionError("No."), 503, "ledger_unavailable"),
        (redis.TimeoutError("No."), 503, "ledger_unavailable"),
    ],
)
def test_what_the_libraries_raise_becomes_a_refusal_of_the_contract(error: Exception, status: int, code: str):
    response, body = rendered(error)

    assert (response.status_code, body["code"]) == (status, code)
    assert body["message"]


@pytest.mark.parametrize("error", [ValueError("password=hunter2"), OperationalError("host=db.internal user=postgres")])
def test_an_unexpected_error_is_logged_and_not_shown(error: Exception, caplog: pytest.LogCaptureFixture):
    response, _ = rendered(error)

    assert str(error) not in response.content.decode()
    assert [(record.levelno, record.exc_info[1]) for record in caplog.records if record.exc_info] == [
        (logging.ERROR, error)
    ]
    assert "req_1" in caplog.text


def test_a_refusal_is_not_logged_as_an_error(caplog: pytest.LogCaptureFixture):
    rendered(InvalidCredential("No."))
    rendered(PartUnavailable("No."))

    assert not caplog.records


@pytest.mark.parametrize("seconds, header", [(0, "1"), (0.2, "1"), (1.2, "2"), (60, "60")])
def test_retry_after_is_in_whole_seconds_and_never_too_early(seconds: float, header: str):
    assert rendered(RateLimited("No.", retry_after_s=seconds))[0]["Retry-After"] == header


def test_a_part_that_is_down_says_when_to_come_back():
    assert int(rendered(OperationalError("No."))[0]["Retry-After"]) >= 1


def test_a_refused_credential_names_the_scheme():
    assert rendered(InvalidCredential("No."))[0]["WWW-Authenticate"] == "Bearer"


def test_param_code_and_headers_can_be_given():
    error = InvalidRequest("No.", param="model", code="forbidden_field", headers={"x-should-retry": "false"})
    response, body = rendered(error)

    assert (body["param"], body["code"], response["x-should-retry"]) == ("model", "forbidden_field", "false")


# Serializers -------------------------------------------------------------------------------------------------------


class _Slot(serializers.Serializer[Any]):
    model = serializers.CharField()


class _Body(serializers.Serializer[Any]):
    title = serializers.CharField(required=False)
    slots = _Slot(many=True, required=False)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    params = serializers.DictField(child=serializers.IntegerField(), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("title") == "bad":
            raise serializers.ValidationError("Find another title.")
        return attrs


@pytest.mark.parametrize(
    "data, param",
    [
        ({"title": []}, "title"),
        ({"slots": 5}, "slots"),
        ({"slots": [{"model": "a"}, {"model": "b"}, {}]}, "slots.2.model"),
        ({"slots": [5]}, "slots.0"),
        ({"tags": ["a", {}]}, "tags.1"),
        ({"params": {"n": "many"}}, "params.n"),
        ({"title": "bad"}, None),
        ([], None),
    ],
)
def test_the_first_wrong_field_is_named_by_its_path(data: Any, param: str | None):
    with pytest.raises(drf.ValidationError) as refusal:
        _Body(data=data).is_valid(raise_exception=True)
    _, body = rendered(refusal.value)

    assert body["param"] == param
    assert body["message"].startswith(f"{param}: " if param else ("Find", "Invalid data"))


def test_the_errors_of_a_list_are_found_behind_items_without_errors():
    serializer = _Slot(data=[{"model": "a"}, {}], many=True)
    with pytest.raises(drf.ValidationError) as refusal:
        serializer.is_valid(raise_exception=True)

    assert rendered(refusal.value)[1]["param"] == "1.model"


@pytest.mark.parametrize(
    "error, param, message",
    [
        (ValidationError("Not %(what)s.", params={"what": "this"}), None, "Not this."),
        (ValidationError({"name": ["Too long."]}), "name", "name: Too long."),
        (ValidationError({"__all__": ["Do not fit."]}), None, "Do not fit."),
        (drf.ValidationError([]), None, "The request is not valid."),
        (drf.ValidationError({}), None, "The request is not valid."),
    ],
)
def test_validation_errors_of_models_and_empty_ones_have_a_message(error: Exception, param: str | None, message: str):
    _, body = rendered(error)

    assert (body["param"], body["message"]) == (param, message)


# The request's id --------------------------------------------------------------------------------------------------


def test_the_answer_bears_the_id_that_the_entry_point_gave_the_request():
    request = AsyncRequestFactory().get("/")
    request.scope = {**request.scope, "gateway.request_id": "req_2"}
    response = render_error(NotFound("No."), {"request": Request(request)})

    assert response["x-request-id"] == "req_2"
    assert orjson.loads(response.content)["error"]["request_id"] == "req_2"


@pytest.mark.parametrize("context", [{}, {"request": None}, {"request": Request(RequestFactory().get("/"))}])
def test_outside_of_the_entry_point_the_id_is_empty(context: dict[str, Any]):
    assert orjson.loads(render_error(NotFound("No."), context).content)["error"]["request_id"] == ""
