import json
import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.core.management.base import BaseCommand
from django.db import transaction

from accounts.models import APIKey, User
from proxy.configuration import DEMO, STARTER, apply, read
from proxy.models import Provider

ADMIN = "admin"
CALLER = "demo"


class Command(BaseCommand):
    help = "Add demo models, a user with an API key and an admin where they are missing, and print how to use them."

    def handle(self, *args: Any, **options: Any) -> None:
        file = settings.GATEWAY_DATA_DIR / "demo.json"
        with transaction.atomic():
            _add_what_is_missing()
            kept = _kept_in(file)
            key = _api_key(kept.get("api_key", ""))
            password = _admin_password(kept.get("admin_password", ""))
            member_password = _member_password(kept.get("demo_password", ""))
            _keep_in(file, {"admin_password": password, "demo_password": member_password, "api_key": key})
        self.stdout.write(_instructions(key, password, member_password))


def _add_what_is_missing() -> None:
    """The demo's own things. Of the starter catalogue nothing where there is any provider: an admin may have cut it."""
    if not Provider.objects.exists():
        apply(read(STARTER.read_bytes()))
    apply(read(DEMO.read_bytes()).missing())


def _api_key(kept: str) -> str:
    """The key of the last run unless it was revoked or is not there any more: then a new one."""
    row = APIKey.objects.for_key(kept)
    if row and row.revoked_at is None and not row.is_expired:
        return kept
    _, key = APIKey.issue(User.objects.get(username=CALLER), "demo")
    return key


def _admin_password(kept: str) -> str:
    """The admin's password; empty when somebody else has set it."""
    admin = User.objects.filter(username=ADMIN).first()
    if admin:
        return kept if kept and check_password(kept, admin.password) else ""
    password = secrets.token_urlsafe(12)
    User.objects.create_superuser(ADMIN, password=password)
    return password


def _member_password(kept: str) -> str:
    """The demo user's password, for the pages of members; empty when somebody else has set it."""
    member = User.objects.get(username=CALLER)
    if member.password and member.has_usable_password():
        return kept if kept and check_password(kept, member.password) else ""
    password = secrets.token_urlsafe(12)
    member.set_password(password)
    member.save(update_fields=["password"])
    return password


def _kept_in(file: Path) -> dict[str, str]:
    try:
        kept = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _keep_in(file: Path, kept: dict[str, str]) -> None:
    """Write the file so that only its owner can read it, and never half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(kept, indent=2) + "\n")
    draft.replace(file)


def _instructions(key: str, password: str, member_password: str) -> str:
    url = f"http://127.0.0.1:{os.environ.get('PORT') or '5000'}"
    body = '{"model":"demo","messages":[{"role":"user","content":"Hello"}]}'
    return f"""
  URL          {url}
  Admin        {url}/admin/  {_login(ADMIN, password)}
  Playground   {url}/playground/  {_login(CALLER, member_password)}
  API key      {key}

  Try it:
  curl {url}/v1/chat/completions -H "Authorization: Bearer {key}" -H "Content-Type: application/json" -d '{body}'
"""


def _login(username: str, password: str) -> str:
    known = (
        f"password {password}" if password else f"the password set since (python manage.py changepassword {username})"
    )
    return f"user name {username}, {known}"
