"""`manage.py create_api_key`: a key for a script's variable, and what is wrong for a person's eyes."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import APIKey, Tenant, User


def create(*arguments: str) -> None:
    call_command("create_api_key", *arguments)


def test_the_key_is_alone_on_standard_output_and_works(alice: User, capsys: pytest.CaptureFixture[str]):
    create("--user", "alice", "--name", "laptop")

    printed = capsys.readouterr()
    row = APIKey.objects.for_key(printed.out.removesuffix("\n"))
    assert row is not None
    assert row.is_usable
    assert (row.user, row.name, row.expires_at) == (alice, "laptop", None)
    assert printed.err == "The key “laptop” of alice (acme) does not expire. It is shown only now: keep it safe.\n"


@pytest.mark.parametrize(
    "said, meant", [("12h", timedelta(hours=12)), ("90d", timedelta(days=90)), ("2w", timedelta(weeks=2))]
)
def test_a_key_may_expire(alice: User, capsys: pytest.CaptureFixture[str], said: str, meant: timedelta):
    before = timezone.now()
    create("--user", "alice", "--name", "laptop", "--expires", said)

    row = APIKey.objects.get(name="laptop")
    assert row.expires_at is not None
    assert before + meant <= row.expires_at <= timezone.now() + meant
    assert f"works until {row.expires_at:%Y-%m-%d %H:%M} UTC" in capsys.readouterr().err


def test_a_key_may_be_for_comparing_alone(alice: User):
    create("--user", "alice", "--name", "reviews", "--comparing", "only")
    assert APIKey.objects.get(name="reviews").comparing == "only"


@pytest.mark.parametrize("said", ["90", "d", "0d", "-1d", "1.5d", "90 d", "3m", "999999999w", "tomorrow"])
def test_a_strange_length_of_time_is_refused(alice: User, said: str):
    with pytest.raises(CommandError, match=r"is no length of time\. Say for example 12h, 90d or 2w\."):
        create("--user", "alice", "--name", "laptop", f"--expires={said}")
    assert not APIKey.objects.filter(name="laptop").exists()


def test_a_mistyped_user_is_told_the_closest_name(alice: User):
    with pytest.raises(CommandError, match=r"There is no user 'alcie'\. Did you mean 'alice'\?"):
        create("--user", "alcie", "--name", "laptop")


def test_an_unknown_user_is_told_how_to_make_one(alice: User):
    with pytest.raises(
        CommandError, match=r"There is no user 'zoe'\. Make one in the admin or with apply_config first\."
    ):
        create("--user", "zoe", "--name", "laptop")


def test_a_user_without_a_tenant_is_refused_with_advice(db: None):
    User.objects.create_superuser("root")
    with pytest.raises(CommandError, match=r"The user 'root' has no tenant, .* Give it a tenant in the admin"):
        create("--user", "root", "--name", "laptop")
    assert not APIKey.objects.exists()


@pytest.mark.parametrize("name", ["", "  ", "a" * 101])
def test_a_name_that_is_none_is_refused(alice: User, name: str):
    with pytest.raises(CommandError, match=r"^--name: "):
        create("--user", "alice", "--name", name)


@pytest.mark.parametrize("model", [User, Tenant])
def test_a_key_that_is_refused_for_now_says_so(
    alice: User, model: type[User] | type[Tenant], capsys: pytest.CaptureFixture[str]
):
    model._default_manager.update(is_active=False)
    create("--user", "alice", "--name", "laptop")

    printed = capsys.readouterr()
    assert "It is refused for now: its user or tenant is not active." in printed.err
    assert printed.out.startswith("gw_live_")
