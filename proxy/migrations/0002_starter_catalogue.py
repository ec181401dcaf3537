"""Put the starter catalogue (proxy/configuration/starter.yaml) into a database that has no provider yet.

A migration, so that it happens once: what an admin deletes from the catalogue later does not come back. It reads today's
file, not a copy from when it was written: a new installation starts with the models that are current then. Only the
keys named here are taken from it; a test keeps the two in step.
"""

from pathlib import Path

import yaml
from django.db import migrations

STARTER = Path(__file__).resolve().parents[1] / "configuration" / "starter.yaml"


def add_starter_catalogue(apps, schema_editor):
    Provider, Model, ModelChain, ChainLink = (
        apps.get_model("proxy", name) for name in ("Provider", "Model", "ModelChain", "ChainLink")
    )
    if Provider.objects.exists():
        return
    catalogue = yaml.safe_load(STARTER.read_text())
    for row in catalogue["providers"]:
        fields = ("name", "kind", "wire", "base_url", "api_key_env")
        Provider.objects.create(**{field: row.get(field, "") for field in fields})
    for row in catalogue["models"]:
        provider = Provider.objects.get(name=row["provider"])
        Model.objects.create(name=row["name"], provider=provider, upstream_name=row["upstream_name"])
    for row in catalogue["chains"]:
        chain = ModelChain.objects.create(name=row["name"])
        for position, name in enumerate(row["links"]):
            ChainLink.objects.create(chain=chain, model=Model.objects.get(name=name), position=position)


class Migration(migrations.Migration):
    dependencies = [("proxy", "0001_initial")]
    operations = [migrations.RunPython(add_starter_catalogue, migrations.RunPython.noop)]
