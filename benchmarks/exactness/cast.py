"""Tenants, users and keys of each case, made in a process with Django: a line of JSON in, a line of JSON out.

    echo '[{"name": "acme", "users": [{"name": "alice", "keys": [{}]}]}]' | python -m benchmarks.exactness.cast URL

URL is the provider's. Budgets and limits are optional: `budget` of a tenant, user or key, `requests_per_minute` of a
user (none unless given). Prints the same with the rows' ids and the keys. The first line makes the chains, too.
"""

import json
import os
import sys
from typing import Any

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")
    django.setup()
    from django.db import transaction  # noqa: PLC0415 - models load after django.setup()

    for line in sys.stdin:
        with transaction.atomic():
            make_chains(sys.argv[1])
            made = [make_tenant(tenant) for tenant in json.loads(line)]
        print(json.dumps(made), flush=True)


def make_chains(base_url: str) -> None:
    """`plain` asks one model, `pair` two of them, `cached` keeps answers for two seconds."""
    from proxy.models import ChainLink, Model, ModelChain, Provider  # noqa: PLC0415

    provider, is_new = Provider.objects.get_or_create(
        name="exactness", defaults={"kind": "openai", "base_url": base_url, "needs_key": False}
    )
    if not is_new:
        return
    models = [
        Model.objects.create(name=f"exactness/{name}", provider=provider, upstream_name=name) for name in ("one", "two")
    ]
    for name, links, ttl_s in (("plain", 1, 0), ("pair", 2, 0), ("cached", 1, 2)):
        chain = ModelChain.objects.create(name=name, cache_ttl_s=ttl_s)
        for position, model in enumerate(models[:links]):
            ChainLink.objects.create(chain=chain, model=model, position=position)


def make_tenant(wanted: dict[str, Any]) -> dict[str, Any]:
    from accounts.models import Tenant  # noqa: PLC0415

    tenant = Tenant.objects.create(name=wanted["name"], monthly_token_budget=wanted.get("budget"))
    return {**wanted, "id": tenant.pk, "users": [make_user(tenant, user) for user in wanted["users"]]}


def make_user(tenant: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    from accounts.models import APIKey, User  # noqa: PLC0415

    user = User.objects.create(
        username=wanted["name"],
        tenant=tenant,
        monthly_token_budget=wanted.get("budget"),
        requests_per_minute=wanted.get("requests_per_minute", 0),
    )
    keys = []
    for number, key in enumerate(wanted["keys"]):
        row, secret = APIKey.issue(user, f"key {number}", monthly_token_budget=key.get("budget"))
        keys.append({**key, "id": str(row.pk), "key": secret})
    return {**wanted, "id": user.pk, "keys": keys}


if __name__ == "__main__":
    main()
