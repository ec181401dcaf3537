"""docker-compose.yml, the Dockerfile and .env.example say what is true of compose, our commands and our settings."""

import ast
import json
import re
import shlex
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest
import yaml
from celery.bin.celery import celery as celery_cli
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]

# What each foreign image brings along.
PROGRAMS = {"postgres": {"postgres"}, "redis": {"redis-server"}}

# Nobody's setting: the port that make hands to its commands, and a library's own.
INTERNAL = {"PORT", "TIKTOKEN_CACHE_DIR"}

# Announced in .env.example, and not read yet: whoever makes one work takes it out here.
COMING = {"OTEL_EXPORTER_OTLP_ENDPOINT"}


class Read(NamedTuple):
    """One place where our code reads the environment, with the default it gives (None: no constant)."""

    name: str
    default: str | int | bool | None


def reads() -> Iterator[Read]:
    """Every `env.text("NAME", …)`, `os.environ.get("NAME", …)`, `os.getenv("NAME")` and `os.environ["NAME"]`."""
    for app in ("gateway_project", "accounts", "proxy", "comparisons"):
        for path in (ROOT / app).rglob("*.py"):
            if not {"tests", "migrations"} & set(path.parts):
                for node in ast.walk(ast.parse(path.read_text())):
                    match node:
                        case ast.Call(func=ast.Attribute(), args=[ast.Constant(str(name)), *rest]) if reader(node.func):
                            defaults = [*rest, *(word.value for word in node.keywords if word.arg == "default")]
                            yield Read(name, constant(defaults[0]) if defaults else None)
                        case ast.Subscript(value=ast.Attribute(attr="environ"), slice=ast.Constant(str(name))):
                            yield Read(name, None)


def reader(function: ast.expr) -> bool:
    source = ast.unparse(function)
    return source.startswith("env.") or source in {"os.environ.get", "environ.get", "os.getenv"}


def constant(node: ast.expr) -> str | int | bool | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str | int) else None


def provider_keys() -> set[str]:
    """The variables that the shipped catalogue's providers take their keys from."""
    starter = yaml.safe_load((ROOT / "proxy" / "configuration" / "starter.yaml").read_text())
    return {provider["api_key_env"] for provider in starter["providers"]}


EXAMPLE = dict(re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
READS = sorted(set(reads()), key=lambda read: read.name)
INTERPOLATED = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_TEXT))


def test_compose_file_follows_the_compose_specification() -> None:
    schema = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(COMPOSE, json.loads(schema.read_text()))


def test_services_depend_only_on_services_and_volumes_that_are_declared() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", [])) <= set(SERVICES)
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", [name for name in SERVICES if "command" in SERVICES[name]])
def test_command_of_each_service_exists(name: str) -> None:
    program, *_ = shlex.split(SERVICES[name]["command"])
    if name in OURS:
        assert Path(sys.executable).with_name(program).exists()
    else:
        assert program in PROGRAMS[SERVICES[name]["image"].split(":")[0]]


@pytest.mark.parametrize("name", OURS)
def test_our_commands_understand_their_arguments(name: str) -> None:
    match shlex.split(SERVICES[name]["command"]):
        case ["python", "manage.py", command, *arguments]:
            django_command = load_command_class(get_commands()[command], command)
            django_command.create_parser("manage.py", command).parse_args(arguments)
        case ["celery", "-A", "gateway_project", command, *_]:
            assert command in celery_cli.commands
        case other:
            pytest.fail(f"{name} runs {other}")


def test_the_image_serves_as_the_compose_file_does() -> None:
    [command] = re.findall(r"^CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert json.loads(command) == shlex.split(SERVICES["web"]["command"])


def test_every_variable_of_the_example_is_read() -> None:
    used = {read.name for read in READS} | provider_keys() | INTERPOLATED
    assert set(EXAMPLE) - used == COMING


def test_every_variable_that_is_read_is_in_the_example() -> None:
    assert {read.name for read in READS} | INTERPOLATED <= set(EXAMPLE) | INTERNAL


@pytest.mark.parametrize("read", [read for read in READS if read.default and EXAMPLE.get(read.name)], ids=str)
def test_the_example_shows_the_default(read: Read) -> None:
    shown = EXAMPLE[read.name]
    if isinstance(read.default, bool):
        assert (shown in {"on", "true"}) is read.default
    else:
        assert shown == str(read.default)
