"""Many rows as one parameter of a statement: a JSON array, which the database takes apart.

No limit on parameters applies, and next to no work is left for Python: usage rows take a fifth of the time of a
multi-row VALUES (docs/recording.md).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from django.db import connection, models

Fields = Sequence["models.Field[Any, Any]"]


def columns_of(model: type[models.Model]) -> list["models.Field[Any, Any]"]:
    """All but the primary key, in the order of the model's fields."""
    return [field for field in model._meta.concrete_fields if not field.primary_key]


def document(fields: Fields, rows: Iterable[Mapping[str, Any]]) -> str:
    """The parameter: objects with the fields' values by their names.

    Postgres reads JSON's forms; SQLite must get what Django stores there.
    """
    if connection.vendor != "postgresql":
        rows = [
            {field.attname: field.get_db_prep_value(row[field.attname], connection) for field in fields} for row in rows
        ]
    return orjson.dumps(list(rows), default=str).decode()


def select(fields: Fields) -> str:
    """The query that has them as rows again. The names in it are those of our own models' columns."""
    model = fields[0].model
    if connection.vendor == "postgresql":
        table = connection.ops.quote_name(model._meta.db_table)
        names = ", ".join(field.attname for field in fields)
        return f"SELECT {names} FROM json_populate_recordset(NULL::{table}, %s::json)"  # noqa: S608
    values = ", ".join(f"json_extract(value, '$.{field.attname}') AS {field.attname}" for field in fields)
    return f"SELECT {values} FROM json_each(%s) WHERE true"  # noqa: S608 - without WHERE, ON CONFLICT is no part of it
