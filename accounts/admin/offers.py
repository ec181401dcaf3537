"""What a key may be limited to: names of chains and models.

This app does not know chains and models; the app that does registers a function that lists their names.
"""

from collections.abc import Callable

# Titles with names: [("Chains", ["default"]), ("Models", ["openai/gpt-4o-mini"])].
Groups = list[tuple[str, list[str]]]
Source = Callable[[int | None], Groups]

_sources: list[Source] = []


def offers(source: Source) -> Source:
    """Register a function from a tenant's id (None: whatever there is) to the names that the tenant may use."""
    _sources.append(source)
    return source


def offered_to(tenant_id: int | None) -> Groups:
    """All that may be named for this tenant, in the order in which a form should show it."""
    return [group for source in _sources for group in source(tenant_id)]


def names_in(groups: Groups) -> list[str]:
    return [name for _title, names in groups for name in names]
