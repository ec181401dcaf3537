"""The admin as somebody sees it in a browser, for the tests of the admin in every app."""

from typing import Any

from django.db import models
from django.test import Client
from django.urls import reverse

from accounts.models import User
from conftest import PASSWORD


def make_operator(username: str = "olga") -> User:
    user: User = User.objects.create_superuser(username, f"{username}@example.com", PASSWORD)
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(model: type[models.Model], name: str, *args: Any) -> str:
    """The address of a page: `page(User, "changelist")`, `page(User, "change", alice.pk)`."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def act(client: Client, action: str, *rows: models.Model, **fields: Any) -> Any:
    """Tick rows of a list and choose an action."""
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows], **fields}
    return client.post(page(type(rows[0]), "changelist"), data, follow=True)


def text_of(response: Any) -> str:
    return str(response.content.decode())
