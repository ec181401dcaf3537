"""The benchmark's tenants, keys and chains, made in a process with Django. Prints the keys as JSON.

    python -m benchmarks.speed.cast everybody http://127.0.0.1:9000
    python -m benchmarks.speed.cast claude http://127.0.0.1:9000

Everything that governs is on, and never in the way: limits and hard budgets of tenant, user and key, and the cache.
The chains `bench` (one model) and `fallback` (the first model is down), and by themselves `claude` (by litellm).
"""

import json
import os
import sys
from typing import Any

import django

PLENTY = 10**12
OFTEN = 10**6
CACHE_S = 300


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")
    django.setup()
    from django.db import transaction  # noqa: PLC0415 - models load after django.setup()

    with transaction.atomic():
        if sys.argv[1] == "claude":
            make_claude(sys.argv[2])
        else:
            make_chains(sys.argv[2])
            print(json.dumps(make_keys()))


def make_chains(url: str) -> None:
    up = make_model("up", "openai", "openai", f"{url}/v1", "gpt-4o-mini")
    down = make_model("down", "openai", "openai", f"{url}/down/v1", "gpt-4o-mini")
    make_chain("bench", up)
    make_chain("fallback", down, up)


def make_claude(url: str) -> None:
    make_chain("claude", make_model("claude", "anthropic", "litellm", url, "claude-3-5-haiku-20241022"))


def make_chain(name: str, *models: Any) -> None:
    from proxy.models import ChainLink, ModelChain  # noqa: PLC0415

    chain = ModelChain.objects.create(name=name, cache_ttl_s=CACHE_S)
    for position, model in enumerate(models):
        ChainLink.objects.create(chain=chain, model=model, position=position)


def make_model(name: str, kind: str, wire: str, url: str, upstream_name: str) -> Any:
    from proxy.models import Model, Provider  # noqa: PLC0415

    provider = Provider(name=name, kind=kind, wire=wire, base_url=url, needs_key=wire == "litellm")
    if provider.needs_key:
        provider.set_api_key("sk-of-nobody")
    provider.save()
    return Model.objects.create(name=f"{name}/{upstream_name}", provider=provider, upstream_name=upstream_name)


def make_keys() -> dict[str, str]:
    """One key that may do everything, one whose limit is reached at once, one whose budget is too small."""
    from accounts.models import APIKey, Tenant, User  # noqa: PLC0415

    tenant = Tenant.objects.create(name="bench", monthly_token_budget=PLENTY, requests_per_minute=OFTEN)

    def key(name: str, **limits: Any) -> str:
        user = User.objects.create(username=name, tenant=tenant, monthly_token_budget=PLENTY, requests_per_minute=OFTEN)
        limits = {"monthly_token_budget": PLENTY, "requests_per_minute": OFTEN, **limits}
        return APIKey.issue(user, name, **limits)[1]

    return {
        "rich": key("rich"),
        "hasty": key("hasty", requests_per_minute=1),
        "poor": key("poor", monthly_token_budget=1),
    }


if __name__ == "__main__":
    main()
