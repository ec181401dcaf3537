from typing import Any

from django.core.management.base import BaseCommand

from proxy.configuration import export


class Command(BaseCommand):
    help = "Print providers, models, chains, tenants and users as the YAML that apply_config reads; never secrets."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(export(), ending="")
