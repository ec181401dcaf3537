import pytest
from django.test import Client

from accounts.models import ConfigurationVersion, Tenant, User
from accounts.models.user import Role
from accounts.tests.admin_pages import act, make_operator, page, signed_in, text_of

NEW = {
    "username": "dora",
    "usable_password": "true",
    "password1": "a long enough secret",
    "password2": "a long enough secret",
    "role": "member",
}


@pytest.fixture
def operator(quick_passwords, db) -> Client:
    return signed_in(make_operator())


@pytest.fixture
def administrator(bob) -> Client:
    return signed_in(bob)


def form_of(user: User, **changes: object) -> dict[str, object]:
    """What the browser sends when somebody saves the user's page."""
    fields = {"username": user.username, "role": user.role, "email": user.email, "is_active": "on"}
    if user.tenant_id:
        fields["tenant"] = str(user.tenant_id)
    return {**fields, **changes}


def test_an_operator_adds_a_user_to_a_tenant(operator, acme):
    operator.post(page(User, "add"), {**NEW, "tenant": acme.pk})
    dora = User.objects.get(username="dora")
    assert dora.tenant == acme
    assert dora.check_password(NEW["password1"])
    assert not dora.is_staff


def test_a_user_without_a_tenant_must_be_an_operator(operator):
    assert "Choose a tenant" in text_of(operator.post(page(User, "add"), NEW))
    operator.post(page(User, "add"), {**NEW, "is_superuser": "on"})
    assert User.objects.get(username="dora").is_staff


def test_a_service_can_do_without_a_password(operator, acme):
    data = {"username": "robot", "usable_password": "false", "role": "member", "tenant": acme.pk}
    operator.post(page(User, "add"), data)
    assert not User.objects.get(username="robot").has_usable_password()


def test_a_tenant_administrators_new_users_belong_to_the_own_tenant(administrator, acme):
    administrator.post(page(User, "add"), NEW)
    assert User.objects.get(username="dora").tenant == acme


def test_a_tenant_administrator_cannot_put_a_user_elsewhere_or_make_an_operator(administrator, acme, charlie):
    forged = {**NEW, "tenant": charlie.tenant_id, "is_superuser": "on", "is_staff": "on"}
    administrator.post(page(User, "add"), forged)
    dora = User.objects.get(username="dora")
    assert (dora.tenant, dora.is_superuser, dora.is_staff) == (acme, False, False)


def test_a_tenant_administrator_cannot_move_a_user_or_make_an_operator_of_one(administrator, alice, charlie):
    administrator.post(page(User, "change", alice.pk), form_of(alice, tenant=charlie.tenant_id, is_superuser="on"))
    before = alice.tenant_id
    alice.refresh_from_db()
    assert (alice.tenant_id, alice.is_superuser) == (before, False)


def test_a_tenant_administrator_appoints_another(administrator, alice):
    administrator.post(page(User, "change", alice.pk), form_of(alice, role="tenant_admin"))
    alice.refresh_from_db()
    assert alice.is_tenant_admin
    assert signed_in(alice).get("/admin/").status_code == 200


def test_who_is_no_tenant_administrator_any_more_gets_in_no_more(operator, bob):
    operator.post(page(User, "change", bob.pk), form_of(bob, role="member"))
    bob.refresh_from_db()
    assert not bob.is_staff
    assert signed_in(bob).get("/admin/").status_code == 302


def test_nobody_changes_the_own_rights(administrator, bob):
    administrator.post(page(User, "change", bob.pk), {"username": "bob", "role": "member", "email": "new@example.com"})
    bob.refresh_from_db()
    assert (bob.email, bob.role, bob.is_active) == ("new@example.com", Role.TENANT_ADMIN, True)


def test_nobody_deletes_or_switches_off_oneself(administrator, bob):
    assert administrator.post(page(User, "delete", bob.pk), {"post": "yes"}).status_code == 403
    act(administrator, "delete_selected", bob, post="yes")
    act(administrator, "switch_off", bob)
    assert User.objects.get(pk=bob.pk).is_active


def test_operators_of_the_own_tenant_are_none_of_a_tenant_administrators_business(administrator, acme):
    operator = make_operator()
    User.objects.filter(pk=operator.pk).update(tenant=acme)
    assert "olga" not in text_of(administrator.get(page(User, "changelist")))
    assert administrator.get(f"/admin/accounts/user/{operator.pk}/password/").status_code == 404


def test_a_tenant_administrator_sets_a_password(administrator, alice):
    url = f"/admin/accounts/user/{alice.pk}/password/"
    administrator.post(
        url, {"usable_password": "true", "password1": "quite another one", "password2": "quite another one"}
    )
    alice.refresh_from_db()
    assert alice.check_password("quite another one")


def test_everybody_changes_the_own_password(administrator):
    assert administrator.get("/admin/password_change/").status_code == 200


def test_switching_users_off_counts_as_a_change_of_configuration(operator, alice, charlie):
    before = ConfigurationVersion.current()
    response = act(operator, "switch_off", alice, charlie)
    assert "2 rows were switched off" in text_of(response)
    assert not User.objects.filter(pk__in=[alice.pk, charlie.pk], is_active=True).exists()
    assert ConfigurationVersion.current() > before


def test_the_list_says_who_is_off_and_why(operator, alice, acme):
    Tenant.objects.filter(pk=acme.pk).update(is_active=False)
    assert "tenant is off" in text_of(operator.get(page(User, "changelist")))


def test_a_tenant_administrator_reads_the_tenants_budget_and_cannot_change_it(administrator, acme):
    Tenant.objects.filter(pk=acme.pk).update(monthly_token_budget=1234)
    url = page(Tenant, "change", acme.pk)
    assert "1234" in text_of(administrator.get(url))
    assert administrator.post(url, {"name": "acme", "monthly_token_budget": "9"}).status_code == 403
    assert Tenant.objects.get(pk=acme.pk).monthly_token_budget == 1234


def test_switching_a_tenant_off_counts_as_a_change_of_configuration(operator, acme):
    before = ConfigurationVersion.current()
    act(operator, "switch_off", acme)
    assert not Tenant.objects.get(pk=acme.pk).is_active
    assert ConfigurationVersion.current() > before


@pytest.mark.parametrize("query", ["password__startswith=md5", "tenant__name=globex", "tenant=2", "is_superuser=1"])
def test_the_address_cannot_ask_about_what_a_tenant_administrator_does_not_see(administrator, query):
    assert administrator.get(f"{page(User, 'changelist')}?{query}").status_code == 400
