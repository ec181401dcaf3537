"""The domain as a YAML file: providers, models, chains, tenants and users, for people who keep them in git.

    sections.py    the kinds of things and their keys, all else read off the models
    values.py      one value: read, written, shown
    yaml_file.py   YAML, strictly
    document.py    a file, checked by itself        read(text) -> Document
    changes.py     the database made to match       apply(document) -> [Change]
    export.py      the other way                    export() -> text
    starter.yaml   the catalogue of a new installation
    demo.yaml      what `manage.py demo` adds

docs/configuration.md is the format's reference.
"""

from pathlib import Path

from proxy.configuration.changes import Change, apply
from proxy.configuration.document import ConfigurationError, Document, read
from proxy.configuration.export import export

STARTER = Path(__file__).with_name("starter.yaml")
DEMO = Path(__file__).with_name("demo.yaml")

__all__ = ["DEMO", "STARTER", "Change", "ConfigurationError", "Document", "apply", "export", "read"]
