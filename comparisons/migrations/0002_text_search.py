"""PostgreSQL finds words in titles and prompts by trigrams; SQLite, for trying out, reads the rows.

Where the extension may not be made, everything works all the same, only searching is slow: the operator makes it
(`CREATE EXTENSION pg_trgm`) and the index below later. `UPPER(x::text)` is what Django's `icontains` asks for.
"""

from django.db import migrations

MAKE = """
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX IF NOT EXISTS comparison_title_text
        ON comparisons_comparison USING gin (UPPER(title::text) gin_trgm_ops);
    CREATE INDEX IF NOT EXISTS comparison_prompt_text
        ON comparisons_comparison USING gin (UPPER(prompt::text) gin_trgm_ops);
EXCEPTION WHEN insufficient_privilege OR feature_not_supported OR undefined_file THEN
    RAISE WARNING 'Searching comparisons will be slow: pg_trgm cannot be made here (%). Make it, then the indexes of '
        'comparisons/migrations/0002_text_search.py.', SQLERRM;
END $$
"""
DROP = "DROP INDEX IF EXISTS comparison_title_text; DROP INDEX IF EXISTS comparison_prompt_text"


def make(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(MAKE, params=None)


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(DROP, params=None)


class Migration(migrations.Migration):

    dependencies = [("comparisons", "0001_initial")]

    operations = [migrations.RunPython(make, drop)]
