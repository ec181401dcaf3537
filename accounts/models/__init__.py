"""Who may call, and how much."""

from accounts.models.api_key import APIKey
from accounts.models.budget_warning import BudgetWarning, WarningDelivery
from accounts.models.configuration import ConfigurationQuerySet, ConfigurationVersion, watch
from accounts.models.tally import MonthlyTally
from accounts.models.tenant import Tenant
from accounts.models.top_up import TopUp
from accounts.models.user import User

__all__ = [
    "APIKey",
    "BudgetWarning",
    "ConfigurationQuerySet",
    "ConfigurationVersion",
    "MonthlyTally",
    "Tenant",
    "TopUp",
    "User",
    "WarningDelivery",
    "watch",
]
