"""Whether what the gateway sends is what its OpenAPI document says."""

import copy
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from django.core.management import call_command
from jsonschema import Draft202012Validator

JSON = dict[str, Any]
CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Hello"}]


@dataclass
class Document:
    """An OpenAPI 3.1 document."""

    data: JSON

    def operation(self, route: str, method: str) -> JSON:
        """What stands for the method; for one that the route does not know, any of its operations."""
        operations: dict[str, JSON] = self.data["paths"][route]
        return operations.get(method.lower()) or next(iter(operations.values()))

    def operations(self) -> Iterator[tuple[str, str, JSON]]:
        """Path, method and operation of each."""
        for path, item in self.data["paths"].items():
            for method, operation in item.items():
                yield path, method, operation

    def check(self, response: httpx.Response, route: str) -> None:
        """Fails unless status, content type, body and headers are described."""
        responses = self.operation(route, response.request.method)["responses"]
        status = str(response.status_code)
        described = responses.get(status) or responses[f"{status[0]}XX"]
        media_type = response.headers["content-type"].partition(";")[0]
        self.check_body(response.text, media_type, described["content"][media_type]["schema"])
        for name, reference in described["headers"].items():
            self._check_header(response.headers.get(name), self._resolved(reference))
        if "x-gateway-attempts" in described["headers"]:  # a call: what is said about it is described, too
            assert {name for name in response.headers if name.startswith("x-gateway-")} <= described["headers"].keys()

    def check_value(self, value: Any, schema: JSON) -> None:
        """Fails unless a JSON value is as the schema says; the gateway's own objects may have no further fields."""
        components = {"components": {"schemas": {name: closed(s) for name, s in self._schemas.items()}}}
        Draft202012Validator({**schema, **components}).validate(value)

    def check_body(self, body: str, media_type: str, schema: JSON) -> None:
        """Fails unless a body is as the schema says; of a stream every event, and the JSON in it."""
        if media_type == "application/json":
            self.check_value(json.loads(body), schema)
        elif media_type == "text/event-stream":
            for event in fields(body):
                self.check_value(event, schema)
                data = self._resolved(schema)["properties"]["data"]
                if event["data"] != "[DONE]":
                    self.check_value(json.loads(event["data"]), data.get("anyOf", [data])[-1]["contentSchema"])
        else:
            self.check_value(body, schema)

    def accepts(self, value: Any, component: str) -> bool:
        """Whether a JSON value is as the schema of this name says."""
        schema = {"$ref": f"#/components/schemas/{component}", "components": self.data["components"]}
        return Draft202012Validator(schema).is_valid(value)

    @property
    def _schemas(self) -> dict[str, JSON]:
        schemas: dict[str, JSON] = self.data["components"]["schemas"]
        return schemas

    def _resolved(self, reference: JSON) -> JSON:
        component: JSON = self.data
        for name in reference["$ref"].removeprefix("#/").split("/"):
            component = component[name]
        return component

    @staticmethod
    def _check_header(value: str | None, header: JSON) -> None:
        if value is None:
            assert not header.get("required"), header
            return
        as_json = {"integer": int, "number": float, "string": str}[header["schema"]["type"]](value)
        Draft202012Validator(header["schema"]).validate(as_json)


def closed(schema: JSON) -> JSON:
    """The schema, without room for fields that it does not name unless it says that there is."""
    if "properties" not in schema:
        return schema
    return {"additionalProperties": False, **copy.deepcopy(schema)}


def events(stream: str) -> list[str]:
    """The data of each event."""
    return [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]


def fields(stream: str) -> list[dict[str, str]]:
    """The fields of each event; comments are none."""
    blocks = [[line.partition(": ") for line in block.splitlines() if line[0] != ":"] for block in stream.split("\n\n")]
    return [{name: value for name, _, value in block} for block in blocks if block]


def generated() -> Document:
    """The document as it is today."""
    out = io.StringIO()
    call_command("spectacular", format="openapi-json", stdout=out)
    return Document(json.loads(out.getvalue()))
