"""`manage.py apply_config`: what is wrong with a file is told with its place, and then nothing is changed."""

import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command

from proxy.models import ModelChain, Provider
from proxy.tests.config_files import CATALOGUE, apply, problems

pytestmark = pytest.mark.django_db


def one(section: str, text: str) -> str:
    return f"{section}: [{{{text}}}]"


def provider(text: str) -> str:
    return one("providers", f"name: openai, kind: openai, {text}")


def model(text: str) -> str:
    return one("models", f"name: openai/a, provider: openai, upstream_name: a, {text}")


def chain(text: str) -> str:
    return one("chains", f"name: fast, links: [], {text}")


def tenant(text: str) -> str:
    return one("tenants", f"name: acme, {text}")


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "The file must be a mapping with the keys providers, models, chains, tenants."),
        ("- a", "The file must be a mapping with the keys providers, models, chains, tenants, not a list."),
        ("model: []", 'model: unknown key. Did you mean "models"?'),
        ("xyz: []", "xyz: unknown key. The keys are providers, models, chains, tenants."),
        ("chains:", "chains: must be a list, not null. An empty one is []."),
        ("chains: {name: fast}", "chains: must be a list, not a mapping. An empty one is []."),
        ("chains: [fast]", re.compile(r'chains\[0\]: must be a mapping with the keys name, links, .*, not "fast"\.')),
        ("chains: [{name: fast}]", "chains[0].links: is missing."),
        ("tenants: [{time_zone: UTC}]", "tenants[0].name: is missing."),
        (provider("need_key: false"), 'providers[0].need_key: unknown key. Did you mean "needs_key"?'),
        (provider("needs_key: 0"), "providers[0].needs_key: must be true or false, not 0."),
        (provider("needs_key: null"), "providers[0].needs_key: must be true or false, not null."),
        (provider("wire: grpc"), 'providers[0].wire: must be openai or litellm or demo, not "grpc".'),
        (one("providers", "name: a b, kind: x"), re.compile(r"providers\[0\]\.name: Use letters, digits and .*")),
        (one("providers", "name: on, kind: x"), "providers[0].name: must be text, not true. Put it in quotes."),
        (one("providers", 'name: a, kind: ""'), "providers[0].kind: must not be empty."),
        (
            one("providers", 'name: a, kind: "a\\0b"'),
            "providers[0].kind: must not contain line breaks, control characters or broken ones.",
        ),
        (
            one("providers", f"name: {'a' * 65}, kind: x"),
            "providers[0].name: must not be longer than 64 characters; it has 65.",
        ),
        (
            provider("base_url: ftp://example.com"),
            "providers[0].base_url: must be an http:// or https:// address, such as https://api.openai.com/v1.",
        ),
        (
            provider("base_url: api.openai.com"),
            "providers[0].base_url: must be an http:// or https:// address, such as https://api.openai.com/v1.",
        ),
        (model("context_window: 32k"), 'models[0].context_window: must be a whole number, not "32k".'),
        (model("context_window: 1.5"), "models[0].context_window: must be a whole number, not 1.5."),
        (model("context_window: true"), "models[0].context_window: must be a whole number, not true."),
        (model("max_output_tokens: -1"), "models[0].max_output_tokens: must not be negative, as -1 is."),
        (model("input_price_per_mtok: -0.5"), "models[0].input_price_per_mtok: must not be negative, as -0.5 is."),
        (model("input_price_per_mtok: .nan"), "models[0].input_price_per_mtok: must be a finite number."),
        (model("tenants: acme"), 'models[0].tenants: must be a list, not "acme". An empty one is [].'),
        (model("tenants: [1]"), "models[0].tenants[0]: must be a name, not 1."),
        (chain("deadline_s: .inf"), "chains[0].deadline_s: must be a finite number."),
        (chain("deadline_s: 0"), "chains[0].deadline_s: Ensure this value is greater than or equal to 0.1."),
        (chain("cache_ttl_s: null"), "chains[0].cache_ttl_s: must be a whole number, not null."),
        ("chains: [{name: f, links: [{stall_timeout_s: 5}]}]", "chains[0].links[0].model: is missing."),
        ("chains: [{name: f, links: [{modell: a}]}]", 'chains[0].links[0].modell: unknown key. Did you mean "model"?'),
        ("chains: [{name: f, links: [null]}]", "chains[0].links[0]: must be a name, not null."),
        (tenant("time_zone: Berlin"), re.compile(r"tenants\[0\]\.time_zone: “Berlin” is not a known time zone\..*")),
        (tenant("requests_per_minute: 0"), re.compile(r"tenants\[0\]\.requests_per_minute: Ensure .* equal to 1\.")),
        (
            tenant("users: [{username: a b}]"),
            re.compile(r"tenants\[0\]\.users\[0\]\.username: Enter a valid username.*"),
        ),
        (
            tenant("users: [{username: a, role: boss}]"),
            'tenants[0].users[0].role: must be member or tenant_admin, not "boss".',
        ),
        (
            tenant("users: [{username: a, is_superuser: true}]"),
            re.compile(r"tenants\[0\]\.users\[0\]\.is_superuser: unknown key\..*"),
        ),
        (
            tenant("users: [{username: a, tenant: globex}]"),
            re.compile(r"tenants\[0\]\.users\[0\]\.tenant: unknown key\..*"),
        ),
        ("tenants: [{name: acme}, {name: acme}]", 'tenants[1].name: "acme" is at tenants[0] already.'),
        (
            "tenants: [{name: a, users: [{username: x}]}, {name: b, users: [{username: x}]}]",
            'tenants[1].users[0].username: "x" is at tenants[0].users[0] already.',
        ),
    ],
    ids=str,
)
def test_a_mistake_is_told_with_its_place(text: str, problem: str | re.Pattern[str]):
    [told] = problems(text)
    if isinstance(problem, str):
        assert told == problem
    else:
        assert problem.fullmatch(told)


@pytest.mark.parametrize(
    "text, problem",
    [
        ("chains: [{name: f, links: [{model: x}]}]", 'chains[0].links[0].model: there is no model "x".'),
        (
            "chains: [{name: f, links: [openai/b, openai/aa]}]",
            'chains[0].links[1]: there is no model "openai/aa". Did you mean "openai/a"?',
        ),
        (
            "models: [{name: x, provider: opnai, upstream_name: x}]",
            'models[0].provider: there is no provider "opnai". Did you mean "openai"?',
        ),
        ("chains: [{name: f, links: [], tenants: [x]}]", 'chains[0].tenants[0]: there is no tenant "x".'),
    ],
)
def test_a_name_that_is_not_there_is_told_with_its_place(text: str, problem: str):
    apply(CATALOGUE)
    assert problems(text) == [problem]


def test_every_problem_is_told_at_once():
    assert problems("chains: [{name: f, links: [1, 2]}, {nam: g}]\ntenants: [{name: acme, users: {}}]") == [
        "chains[0].links[0]: must be a name, not 1. Put it in quotes.",
        "chains[0].links[1]: must be a name, not 2. Put it in quotes.",
        'chains[1].nam: unknown key. Did you mean "name"?',
        "tenants[0].users: must be a list, not a mapping. An empty one is [].",
    ]


def test_one_problem_keeps_the_whole_file_from_being_applied():
    problems(CATALOGUE + "  - {name: broken, links: [openai/x]}")
    assert not Provider.objects.exists()


@pytest.mark.parametrize(
    "text",
    [
        provider("api_key: sk-very-secret"),
        provider("api_key_env: gsk_very_secret"),
        provider("api_key_env: [sk-very-secret]"),
        provider("base_url: 'https://me:sk-very-secret@example.com'"),
        tenant("users: [{username: a, password: very-secret}]"),
        tenant("users: [{username: a, password_env: very-secret}]"),
    ],
)
def test_a_secret_is_refused_and_not_repeated(text: str):
    [told] = problems(text)
    assert "secret" not in told.replace("Secrets themselves do not belong in this file", "")


def test_a_key_in_clear_is_told_where_it_belongs():
    assert problems(provider("api_key: sk-very-secret")) == [
        "providers[0].api_key: keys are not kept in this file. Name the environment variable that holds the key in "
        "api_key_env, or store the key encrypted in the admin, under Providers."
    ]


@pytest.mark.parametrize(
    "text, problem",
    [
        ("chains:\n  - {name: a, links: [b}\n", r"line 2, column 24: .*"),
        ("chains:\n  - name: a\n    links: []\n    name: b\n", r'line 4, column 5: "name" is there twice'),
        ("a: *b\n", r"line 1, column 4: found undefined alias 'b'"),
        ("chains: !!python/object:os.system {}\n", r"line 1, column 9: could not determine a constructor .*"),
        ("a: 1\n---\nb: 2\n", r"line 2, column 1: .*"),
        ("a: \0", r"This is no YAML text: .*"),
    ],
)
def test_what_is_no_yaml_is_told_with_line_and_column(text: str, problem: str):
    [told, *_] = problems(text)
    assert re.fullmatch(problem, told)


def test_anchors_and_merges_work():
    text = """
chains:
  - &slow {name: slow, links: [], deadline_s: 300}
  - {<<: *slow, name: slower, cache_ttl_s: 0}
"""
    assert apply(text) == ["+ chain slow", "+ chain slower"]
    assert ModelChain.objects.get(name="slower").deadline_s == 300


def test_a_file_that_cannot_be_read_is_named(db: None, tmp_path: Path):
    with pytest.raises(CommandError, match=r"nowhere\.yaml cannot be read: No such file or directory\."):
        call_command("apply_config", str(tmp_path / "nowhere.yaml"))


def test_a_dash_reads_standard_input(db: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("tenants: [{name: acme}]".encode("utf-16"))))
    call_command("apply_config", "-")
    assert capsys.readouterr().out == "+ tenant acme\n1 change made.\n"
