"""The admin of tenants, users and API keys, and what the admins of the other apps build on (base, scoping, offers)."""

from accounts.admin.api_keys import APIKeyAdmin
from accounts.admin.budget_warnings import BudgetWarningAdmin
from accounts.admin.tenants import TenantAdmin
from accounts.admin.top_ups import TopUpAdmin
from accounts.admin.users import UserAdmin

__all__ = ["APIKeyAdmin", "BudgetWarningAdmin", "TenantAdmin", "TopUpAdmin", "UserAdmin"]
