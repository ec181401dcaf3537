"""Configuration files for the tests, and the commands that read and write them."""

import io
import tempfile
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

CATALOGUE = """
providers:
  - {name: openai, kind: openai, base_url: "https://api.openai.com/v1", api_key_env: OPENAI_API_KEY}
models:
  - {name: openai/a, provider: openai, upstream_name: a}
  - {name: openai/b, provider: openai, upstream_name: b}
chains:
  - {name: default, links: [openai/a, openai/b]}
"""
ACME = "tenants: [{name: acme, users: [{username: alice}]}]"


def apply(text: str, *options: str) -> list[str]:
    """Apply a file; the lines that the command prints, without the summary."""
    return output_of(text, *options).splitlines()[:-1]


def output_of(text: str, *options: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gateway.yaml"
        file.write_text(text)
        output = io.StringIO()
        call_command("apply_config", str(file), *options, stdout=output)
        return output.getvalue()


def problems(text: str, *options: str) -> list[str]:
    """The lines with which a file is refused, after the first, which says that nothing was changed."""
    with pytest.raises(CommandError) as refusal:
        apply(text, *options)
    first, *lines = str(refusal.value).splitlines()
    assert first == "Nothing was changed."
    return lines


def export() -> str:
    output = io.StringIO()
    call_command("export_config", stdout=output)
    return output.getvalue()
