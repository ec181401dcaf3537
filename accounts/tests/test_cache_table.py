import importlib
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from pytest_django import Settings

migration = importlib.import_module("accounts.migrations.0002_cache_table")

TABLE = "test_cache_table"
DATABASE = {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": TABLE}
REDIS = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:6379/0"}


def migrate() -> bool:
    """Whether the cache's table is there after the migration."""
    migration.create_cache_table(None, SimpleNamespace(connection=connection))
    return TABLE in connection.introspection.table_names()


@pytest.mark.django_db
@pytest.mark.parametrize("backend, expected", [(DATABASE, True), (REDIS, False)])
def test_the_table_is_made_where_the_database_is_the_cache(settings: Settings, backend: dict[str, Any], expected: bool):
    settings.CACHES = {"default": backend}

    assert migrate() is expected


@pytest.mark.django_db
def test_a_table_that_is_there_already_keeps_its_rows(settings: Settings):
    settings.CACHES = {"default": DATABASE}
    migrate()
    cache.set("attempts", 3)

    assert migrate()
    assert cache.get("attempts") == 3
