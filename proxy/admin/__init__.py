"""The admin of what can be called (providers, models, chains) and of what was called (usage, dead letters)."""

from proxy.admin import names
from proxy.admin.chains import ModelChainAdmin
from proxy.admin.models import ModelAdmin
from proxy.admin.providers import ProviderAdmin
from proxy.admin.usage import DeadLetterAdmin, UsageAdmin

__all__ = ["DeadLetterAdmin", "ModelAdmin", "ModelChainAdmin", "ProviderAdmin", "UsageAdmin", "names"]
