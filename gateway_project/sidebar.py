"""The admin's side bar: its pages, in groups."""

from typing import Any

from django.urls import reverse_lazy


def page(title: str, icon: str, route: str, **options: str) -> dict[str, Any]:
    """A link. Options are functions by their dotted names: permission, active, badge."""
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{route}"), "badge_variant": "danger", **options}


NAVIGATION: list[dict[str, Any]] = [
    {
        "items": [
            page("Overview", "home", "index"),
            page(
                "Explain request",
                "manage_search",
                "proxy_usage_explain",
                active="proxy.admin.usage.is_explaining",
            ),
        ]
    },
    {
        "title": "Who may call",
        "separator": True,
        "items": [
            page("Tenants", "apartment", "accounts_tenant_changelist"),
            page("Users", "group", "accounts_user_changelist"),
            page("API keys", "key", "accounts_apikey_changelist"),
            page("Top-ups", "add_card", "accounts_topup_changelist"),
            page("Budget warnings", "notifications", "accounts_budgetwarning_changelist"),
        ],
    },
    {
        "title": "What they may call",
        "separator": True,
        "items": [
            page("Chains", "link", "proxy_modelchain_changelist"),
            page("Models", "neurology", "proxy_model_changelist", permission="accounts.admin_site.operators_only"),
            page(
                "Providers",
                "cloud",
                "proxy_provider_changelist",
                permission="accounts.admin_site.operators_only",
                badge="proxy.admin.providers.flagged_count",
            ),
        ],
    },
    {
        "title": "What was called",
        "separator": True,
        "items": [
            page(
                "Usage",
                "receipt_long",
                "proxy_usage_changelist",
                active="proxy.admin.usage.is_in_ledger",
            ),
            page(
                "Dead letters",
                "mark_email_unread",
                "proxy_deadletter_changelist",
                permission="accounts.admin_site.operators_only",
                badge="proxy.admin.usage.waiting_letters",
            ),
        ],
    },
    {
        "title": "What was compared",
        "separator": True,
        "items": [
            page("Comparisons", "compare_arrows", "comparisons_comparison_changelist"),
            page("Votes", "how_to_vote", "comparisons_vote_changelist"),
            page("Notes", "sticky_note_2", "comparisons_note_changelist"),
        ],
    },
]
