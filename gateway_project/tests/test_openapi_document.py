"""`/api/schema` describes every route, and what it says is right by its own rules."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.errors import InvalidRequest
from gateway_project.tests.described import CHAT, MESSAGES, Document, generated
from proxy.chat import TYPES, ChatRequest

# What is no API: pages, and the document itself.
PAGES = ("admin/", "api/", "comparisons/", "playground/", "sign-in/", "sign-out/")


@pytest.fixture(scope="module")
def document() -> Document:
    return generated()


def test_the_document_is_valid_and_made_without_a_warning(tmp_path: Path):
    file = tmp_path / "schema.yaml"
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(file))
    assert "openapi: 3.1.0" in file.read_text()


def test_every_route_is_described_and_nothing_else(document: Document):
    routes = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path) for path in _paths(get_resolver().url_patterns)}
    assert {path.removeprefix("/") for path in document.data["paths"]} == routes


def _paths(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _paths(pattern.url_patterns, path)
        elif not path.startswith(PAGES):
            yield path


def test_an_alias_says_what_it_stands_for(document: Document):
    alias = document.operation("/chat/completions", "post")
    assert alias["summary"] == "The same as POST /v1/chat/completions"
    assert alias["responses"] == document.operation(CHAT, "post")["responses"]


def test_calls_take_either_credential_or_none_and_health_takes_none(document: Document):
    assert document.operation(CHAT, "post")["security"] == [{"Bearer": []}, {"ApiKey": []}, {}]
    assert "security" not in document.operation("/health", "get")


def test_every_example_is_as_its_schema_says(document: Document):
    checked = 0
    for _, _, operation in document.operations():
        for described in (operation.get("requestBody", {}), *operation["responses"].values()):
            for media_type, content in described.get("content", {}).items():
                for example in content.get("examples", {}).values():
                    value = example["value"]
                    body = value if media_type == "text/event-stream" else json.dumps(value)
                    document.check_body(body, media_type, content["schema"])
                    checked += 1
    assert checked > 50


GENERIC = ["text", "", 1.5, 3, 0, -1, True, [], {}, None]


@pytest.mark.parametrize("field", TYPES)
def test_the_schema_accepts_what_the_gateway_accepts(field: str, document: Document):
    for value in GENERIC:
        body = {"model": "demo", "messages": MESSAGES, field: value}
        assert document.accepts(body, "ChatCompletionRequest") == _is_accepted(body), (field, value)


NAMES: list[Any] = ["demo", "", " ", 1, None, [], ["demo"], [""], ["a"] * 9, ["a"] * 10]


@pytest.mark.parametrize("field", ["models", "fallbacks"])
def test_the_schema_accepts_the_names_that_the_gateway_accepts(field: str, document: Document):
    for value in NAMES:
        body = {"model": "a", "messages": MESSAGES, field: value}
        assert document.accepts(body, "ChatCompletionRequest") == _is_accepted(body), (field, value)


def _is_accepted(body: dict[str, Any]) -> bool:
    try:
        ChatRequest.parse(body)
    except InvalidRequest:
        return False
    return True
