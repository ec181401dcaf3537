from django.apps import AppConfig


class ProxyConfig(AppConfig):
    name = "proxy"
    verbose_name = "Gateway"

    def ready(self) -> None:
        from accounts.models import watch  # noqa: PLC0415 - models load after the app's module
        from proxy.models import ChainLink, Model, ModelChain, Provider, offers  # noqa: PLC0415

        watch(Provider, Model, ModelChain, ChainLink)
        offers.guard()
