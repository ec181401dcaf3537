from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        from accounts.models import APIKey, Tenant, User, watch  # noqa: PLC0415 - models load after the app's module

        watch(Tenant, User, APIKey)
