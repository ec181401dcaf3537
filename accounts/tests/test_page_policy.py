"""Each page says what browsers may run, load and send for it."""

import pytest
from django.test import Client

from accounts.tests.admin_pages import make_operator, signed_in

pytestmark = pytest.mark.django_db


def directives(response: object) -> dict[str, str]:
    header: str = response["Content-Security-Policy"]  # type: ignore[index]  # a response of the test client
    return dict(directive.split(" ", 1) for directive in header.split("; "))


PAGES = [
    "/admin/login/",
    "/admin/",
    "/admin/accounts/user/",
    "/admin/accounts/user/add/",
    "/admin/proxy/usage/",
    "/api/docs",
]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_takes_scripts_and_connections_from_here_alone(path: str):
    given = directives(signed_in(make_operator()).get(path))
    assert given["default-src"] == given["object-src"] == given["base-uri"] == given["frame-ancestors"] == "'none'"
    assert given["connect-src"] == "'self'"
    assert "'unsafe-inline'" not in given["script-src"]
    sources = {source for name in given for source in given[name].split()}
    assert sources <= {"'none'", "'self'", "'unsafe-eval'", "'unsafe-inline'", "data:"}


def test_only_the_admin_may_make_functions_of_text_and_send_forms():
    client = signed_in(make_operator())
    admin, docs = (directives(client.get(path)) for path in ("/admin/", "/api/docs"))
    assert (admin["script-src"], docs["script-src"]) == ("'self' 'unsafe-eval'", "'self'")
    assert (admin["form-action"], docs["form-action"]) == ("'self'", "'none'")


def test_a_refused_sign_in_has_the_policy_of_the_admin():
    assert "script-src" in directives(Client().post("/admin/login/", {"username": "nobody", "password": "wrong"}))


@pytest.mark.parametrize("path", ["/nowhere", "/admin/nowhere/"])
def test_an_unknown_page_runs_nothing(path: str):
    client = signed_in(make_operator())
    client.raise_request_exception = False
    assert "script-src" not in directives(client.get(path, headers={"accept": "text/html"}))
