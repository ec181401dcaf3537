"""The tables of the database, to empty after a test that committed."""

from functools import lru_cache

from django.db import connection, transaction

# What `migrate` writes there is the same for every test.
CONSTANT = {"django_content_type", "auth_permission"}


def empty_tables() -> None:
    """What Django's `flush` does, in a hundredth of the time: only what has rows is touched, and by DELETE.

    `flush` truncates every table, which on Postgres makes each a new file and another for each index, and then writes
    content types and permissions again.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # As TRUNCATE would, wait for whoever still writes. On SQLite, transactions that write wait for each other.
            cursor.execute(f"LOCK TABLE {', '.join(_tables())} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(" UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})" for name in _tables()))
        for (name,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {name}")


@lru_cache
def _tables() -> list[str]:
    return sorted(set(connection.introspection.django_table_names(include_views=False)) - CONSTANT)
