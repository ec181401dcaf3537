"""`manage.py apply_config`: the database says what the file says."""

import re
from pathlib import Path

import pytest

from accounts.models import APIKey, ConfigurationVersion, Tenant, User
from conftest import Cast
from proxy.models import ChainLink, Model, ModelChain, Provider
from proxy.tests.config_files import ACME, CATALOGUE, apply, export, output_of, problems

pytestmark = pytest.mark.django_db
REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"

# Adding and changing -----------------------------------------------------------------------------------------------


def test_a_file_makes_what_it_names():
    assert apply(CATALOGUE + ACME) == [
        "+ tenant acme",
        "+ provider openai",
        "+ model openai/a",
        "+ model openai/b",
        "+ chain default",
        "+ user alice",
    ]

    provider = Provider.objects.get()
    assert (provider.wire, provider.base_url, provider.needs_key) == ("openai", "https://api.openai.com/v1", True)
    assert [link.model.name for link in ModelChain.objects.get().links.all()] == ["openai/a", "openai/b"]
    alice = User.objects.get()
    assert alice.tenant == Tenant.objects.get()
    assert alice.role == "member"
    assert not alice.is_staff


def test_the_second_time_nothing_changes_and_the_version_stays():
    apply(CATALOGUE + ACME)
    version = ConfigurationVersion.current()

    assert apply(CATALOGUE + ACME) == []
    assert apply(CATALOGUE + ACME, "--prune") == []
    assert ConfigurationVersion.current() == version


def test_a_change_raises_the_version():
    apply(ACME)
    version = ConfigurationVersion.current()
    apply("tenants: [{name: acme, requests_per_minute: 5}]")
    assert ConfigurationVersion.current() > version


def test_a_change_is_shown_with_both_values():
    apply("tenants: [{name: acme, requests_per_minute: 60}]")
    changed = "tenants: [{name: acme, requests_per_minute: 600, monthly_token_budget: 1000, time_zone: Europe/Berlin}]"
    assert apply(changed) == [
        "~ tenant acme: time_zone UTC → Europe/Berlin; monthly_token_budget none → 1000; requests_per_minute 60 → 600"
    ]
    assert Tenant.objects.get().requests_per_minute == 600


def test_a_key_that_is_left_out_goes_back_to_its_default():
    apply("tenants: [{name: acme, monthly_token_budget: 1000, budget_mode: soft, is_active: false}]")
    assert apply("tenants: [{name: acme}]") == [
        "~ tenant acme: monthly_token_budget 1000 → none; budget_mode soft → hard; is_active false → true"
    ]
    assert Tenant.objects.get().monthly_token_budget is None


def test_what_the_file_does_not_name_is_left_alone():
    apply(CATALOGUE + ACME)
    assert apply("models: [{name: openai/c, provider: openai, upstream_name: c}]") == ["+ model openai/c"]
    assert Model.objects.count() == 3
    assert apply("tenants: [{name: globex}]") == ["+ tenant globex"]
    assert User.objects.filter(username="alice").exists()


def test_changing_only_the_order_of_links_is_a_change():
    apply(CATALOGUE)
    assert apply("chains: [{name: default, links: [openai/b, openai/a]}]") == [
        "~ chain default: links openai/a, openai/b → openai/b, openai/a"
    ]
    assert [link.model.name for link in ModelChain.objects.get().links.all()] == ["openai/b", "openai/a"]


def test_a_link_may_say_its_own_timeouts():
    apply(CATALOGUE)
    links = "[{model: openai/a, first_token_timeout_s: 10, retry_after_max_s: 0.5}, openai/b]"
    assert apply(f"chains: [{{name: default, links: {links}}}]") == [
        "~ chain default: links openai/a, openai/b → "
        "openai/a (first_token_timeout_s 10, retry_after_max_s 0.5), openai/b"
    ]
    link = ChainLink.objects.get(model__name="openai/a")
    assert (link.first_token_timeout_s, link.retry_after_max_s, link.stall_timeout_s) == (10, 0.5, 60)


def test_links_keep_the_order_that_the_admin_gave_them():
    apply(CATALOGUE)
    ChainLink.objects.filter(model__name="openai/a").update(position=7)
    assert apply("chains: [{name: default, links: [openai/b, openai/a]}]") == []


def test_models_and_chains_may_be_for_some_tenants_only(cast: Cast):
    apply(CATALOGUE)
    text = CATALOGUE.replace("upstream_name: a}", "upstream_name: a, tenants: [globex, acme]}")
    assert apply(text) == ["~ model openai/a: tenants none → acme, globex"]
    assert set(Model.objects.get(name="openai/a").tenants.all()) == {cast.acme, cast.globex}
    assert apply(text.replace("globex, acme", "acme")) == ["~ model openai/a: tenants acme, globex → acme"]


def test_prices_are_kept_to_the_last_digit():
    text = "models: [{name: openai/a, provider: openai, upstream_name: a, input_price_per_mtok: %s}]"
    apply(CATALOGUE)
    apply(text % "0.1")
    assert str(Model.objects.get(name="openai/a").input_price_per_mtok) == "0.100000"
    assert apply(text % "0.100000") == []
    assert apply(text % "3") == ["~ model openai/a: input_price_per_mtok 0.1 → 3"]


def test_a_provider_key_stored_in_the_admin_stays():
    apply(CATALOGUE)
    provider = Provider.objects.get()
    provider.set_api_key("sk-stored")
    provider.save()
    assert apply("providers: [{name: openai, kind: openai, api_key_env: OTHER_KEY}]") != []
    assert Provider.objects.get().api_key() == "sk-stored"


# Users -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said, stored",
    [("", None), (", requests_per_minute: null", 0), (", requests_per_minute: 5", 5)],
    ids=["left out: the default", "null: no limit", "a number"],
)
def test_a_users_rate_limit(said: str, stored: int | None):
    apply(f"tenants: [{{name: acme, users: [{{username: alice{said}}}]}}]")
    assert User.objects.get().requests_per_minute == stored


def test_a_users_rate_limit_is_shown_in_words():
    text = "tenants: [{name: acme, users: [{username: alice%s}]}]"
    apply(text % "")
    assert apply(text % ", requests_per_minute: null") == ["~ user alice: requests_per_minute default → none"]
    assert apply(text % ", requests_per_minute: 60") == ["~ user alice: requests_per_minute none → 60"]


def test_a_new_user_gets_the_password_of_the_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALICE_PASSWORD", "open sesame")
    text = "tenants: [{name: acme, users: [{username: alice, password_env: ALICE_PASSWORD}]}]"
    assert apply(text) == ["+ tenant acme", "+ user alice"]
    assert User.objects.get().check_password("open sesame")

    stored = User.objects.get().password
    assert apply(text) == []
    assert User.objects.get().password == stored

    monkeypatch.setenv("ALICE_PASSWORD", "open barley")
    assert apply(text) == ["~ user alice: new password"]
    assert User.objects.get().check_password("open barley")


def test_without_password_env_a_user_has_no_password_or_keeps_the_old_one():
    apply(ACME)
    alice = User.objects.get()
    assert not alice.has_usable_password()

    alice.set_password("open sesame")
    alice.save()
    assert apply(ACME) == []
    assert User.objects.get().check_password("open sesame")


def test_a_missing_password_variable_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ALICE_PASSWORD", raising=False)
    assert problems("tenants: [{name: acme, users: [{username: alice, password_env: ALICE_PASSWORD}]}]") == [
        "tenants[0].users[0].password_env: the environment variable ALICE_PASSWORD is not set. "
        "Set it to the user's password."
    ]


def test_a_tenant_administrator_works_in_the_admin_until_the_role_is_taken_away():
    apply("tenants: [{name: acme, users: [{username: bob, role: tenant_admin}]}]")
    assert User.objects.get().is_staff
    assert apply("tenants: [{name: acme, users: [{username: bob}]}]") == ["~ user bob: role tenant_admin → member"]
    assert not User.objects.get().is_staff


def test_a_user_without_a_tenant_may_be_given_one():
    User.objects.create_user("alice")
    assert apply(ACME) == ["+ tenant acme", "~ user alice: tenant none → acme"]


def test_another_tenants_user_is_not_taken_away(cast: Cast):
    assert problems("tenants: [{name: acme, users: [{username: charlie}]}]") == [
        'tenants[0].users[0].username: "charlie" belongs to the tenant globex. A user name is taken once in the whole '
        "gateway: choose another one, or move the user in the admin."
    ]


def test_a_superuser_is_not_touched(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ROOT_PASSWORD", "taken over")
    User.objects.create_superuser("root", password="secret")
    text = "tenants: [{name: acme, users: [{username: root, password_env: ROOT_PASSWORD}]}]"
    assert problems(text) == [
        'tenants[0].users[0].username: "root" is a superuser, and those are kept out of this file.'
    ]
    assert User.objects.get().check_password("secret")


# A dry run ---------------------------------------------------------------------------------------------------------


def test_a_dry_run_prints_the_difference_and_changes_nothing():
    apply(CATALOGUE + ACME)
    version, exported = ConfigurationVersion.current(), export()
    text = """
providers: [{name: groq, kind: groq}]
chains: [{name: default, links: [{model: groq/c, stall_timeout_s: 1}]}]
models: [{name: groq/c, provider: groq, upstream_name: c}]
tenants: [{name: acme, users: []}]
"""
    announced = apply(text, "--dry-run", "--prune")
    assert announced == [
        "+ provider groq",
        "+ model groq/c",
        "~ chain default: links openai/a, openai/b → groq/c (stall_timeout_s 1)",
        "- user alice",
        "- model openai/a",
        "- model openai/b",
        "- provider openai",
    ]
    assert export() == exported
    assert ConfigurationVersion.current() == version
    assert apply(text, "--prune") == announced


@pytest.mark.parametrize(
    "options, before, summary",
    [
        ((), "", "2 changes made."),
        (("--dry-run",), "", "2 changes to make; nothing was changed (--dry-run)."),
        ((), "tenants: [{name: acme}]", "1 change made."),
        ((), ACME, "Nothing to change."),
    ],
)
def test_the_last_line_sums_up(options: list[str], before: str, summary: str):
    if before:
        apply(before)
    assert output_of(ACME, *options).splitlines()[-1] == summary


# Pruning -----------------------------------------------------------------------------------------------------------


def test_nothing_is_deleted_without_prune():
    apply(CATALOGUE + ACME)
    assert apply("providers: []\nmodels: []\nchains: []\ntenants: []") == []
    assert ModelChain.objects.count() == Provider.objects.count() == User.objects.count() == 1


def test_prune_deletes_what_the_files_sections_leave_out():
    apply(CATALOGUE + ACME)
    text = CATALOGUE.replace("  - {name: openai/b, provider: openai, upstream_name: b}\n", "").replace(", openai/b", "")
    assert apply(text, "--prune") == ["~ chain default: links openai/a, openai/b → openai/a", "- model openai/b"]
    assert User.objects.filter(username="alice").exists()


def test_prune_lists_users_with_the_keys_that_go_along(cast: Cast):
    APIKey.issue(cast.alice.user, "second")
    assert apply("tenants: [{name: acme, users: [{username: bob, role: tenant_admin}]}]", "--prune", "--dry-run") == [
        "~ user bob: requests_per_minute none → default",
        "- user alice, with 2 API keys",
        "- user charlie, with 1 API key",
        "- tenant globex",
    ]


def test_prune_leaves_users_alone_whose_tenant_does_not_list_any(cast: Cast):
    assert apply("tenants: [{name: acme}, {name: globex}]", "--prune") == []
    assert User.objects.count() == 3


def test_prune_never_deletes_a_superuser_or_a_user_without_a_tenant(cast: Cast):
    User.objects.create_superuser("root")
    User.objects.create_superuser("owner", tenant=cast.acme)
    User.objects.create_user("visitor")
    apply("tenants: [{name: acme, users: []}, {name: globex, users: []}]", "--prune")
    assert set(User.objects.values_list("username", flat=True)) == {"root", "owner", "visitor"}

    assert problems("tenants: []", "--prune") == [
        "The tenant acme cannot be deleted while it is used by the user owner. "
        "Change that first, or keep it in the file."
    ]
    assert Tenant.objects.count() == 2


@pytest.mark.parametrize(
    "text, problem",
    [
        (
            "providers: []",
            "The provider openai cannot be deleted while it is used by the model openai/a, "
            "the model openai/b. Change that first, or keep it in the file.",
        ),
        (
            "models: [{name: openai/b, provider: openai, upstream_name: b}]",
            "The model openai/a cannot be deleted while it is used by the model chain default. "
            "Change that first, or keep it in the file.",
        ),
    ],
    ids=["a provider with models", "a model in a chain"],
)
def test_prune_refuses_to_delete_what_is_still_used(text: str, problem: str):
    apply(CATALOGUE)
    assert problems(text, "--prune") == [problem]
    assert Model.objects.count() == 2


def test_prune_does_not_open_a_tenants_own_chain_to_everybody():
    apply(CATALOGUE + "  - {name: own, links: [openai/a], tenants: [acme]}\ntenants: [{name: acme}, {name: globex}]")
    assert problems("tenants: [{name: globex}]", "--prune") == [
        "The tenant acme cannot be deleted while it is used by the model chain own. "
        "Change that first, or keep it in the file."
    ]


def test_a_file_may_not_name_what_prune_would_delete():
    apply(CATALOGUE)
    text = "models: []\nchains: [{name: default, links: [openai/a]}]"
    assert problems(text, "--prune") == [
        'chains[0].links[0]: there is no model "openai/a". Not in this file, it would be pruned.'
    ]


# The reference -----------------------------------------------------------------------------------------------------


def test_every_example_of_the_reference_can_be_applied(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALICE_PASSWORD", "a")
    monkeypatch.setenv("BOB_PASSWORD", "b")
    examples = re.findall(r"^```yaml\n(.*?)^```$", REFERENCE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        assert apply(example) != []
        assert apply(example) == []
