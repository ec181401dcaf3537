from django.apps import AppConfig
from django.core.checks import Tags, register


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        from accounts import checks  # noqa: PLC0415 - settings load after the app's module
        from accounts.models import APIKey, Tenant, TopUp, User, watch  # noqa: PLC0415 - and so do models

        watch(Tenant, User, APIKey, TopUp)
        for check in (
            checks.check_secret_key,
            checks.check_tokens,
            checks.check_trusted_proxies,
            checks.check_cors_origins,
        ):
            register(check, Tags.security)
