"""What a configuration file can speak of: for each kind of thing its model, and the model's fields that are keys.

Types, defaults and rules are read off the model's fields, so a key means in the file what it means in the admin.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import models

from accounts.models import Tenant, User
from proxy.models import ChainLink, Model, ModelChain, Provider


@dataclass(frozen=True)
class Section:
    """One kind of thing. Values are as the model holds them, but for relations: those are the other thing's name."""

    kind: str
    model: type[models.Model]
    keys: tuple[str, ...]
    """The fields; the first one names the thing and never changes."""
    inherited: tuple[str, ...] = ()
    """Fields that the file does not say: they follow from where the thing stands in it."""
    extra: tuple[str, ...] = ()
    """Keys of the file that are no fields."""
    null_as: Mapping[str, int] = field(default_factory=dict)
    """What the database holds for a `null` of the file, where that is not NULL."""

    @property
    def plural(self) -> str:
        return f"{self.kind}s"

    @property
    def name_key(self) -> str:
        return self.keys[0]

    @property
    def file_keys(self) -> tuple[str, ...]:
        return tuple(key for key in (*self.keys, *self.extra) if key not in self.inherited)

    def field(self, key: str) -> Any:
        return self.model._meta.get_field(key)

    def is_column(self, key: str) -> bool:
        field = self.field(key)
        return not (field.one_to_many or field.many_to_many)

    def is_required(self, key: str) -> bool:
        field = self.field(key)
        if field.one_to_many:
            return True
        return not (field.many_to_many or field.null or field.blank or field.has_default())

    def default(self, key: str) -> Any:
        field = self.field(key)
        return [] if field.many_to_many else field.get_default()

    def find(self, name: str) -> Any:
        """The row of this name, or None."""
        return self.model._default_manager.filter(**{self.name_key: name}).first()

    def names(self) -> set[str]:
        """The names of all rows."""
        return set(self.model._default_manager.values_list(self.name_key, flat=True))

    def values_of(self, row: Any) -> dict[str, Any]:
        """The row as an entry of the file would say it, defaults included."""
        return {key: self._value_of(row, key) for key in self.keys}

    def _value_of(self, row: Any, key: str) -> Any:
        field, value = self.field(key), getattr(row, key)
        if field.one_to_many:
            return [LINKS.values_of(link) for link in value.select_related("model")]
        if field.many_to_many:
            return sorted(value.values_list("name", flat=True))
        if field.many_to_one:
            return value.name if value else None
        return value


PROVIDERS = Section("provider", Provider, ("name", "kind", "wire", "base_url", "api_key_env", "needs_key", "is_active"))
MODELS = Section(
    "model",
    Model,
    (
        "name",
        "provider",
        "upstream_name",
        "input_price_per_mtok",
        "output_price_per_mtok",
        "context_window",
        "max_output_tokens",
        "tenants",
        "is_active",
    ),
)
LINKS = Section(
    "link",
    ChainLink,
    ("model", "connect_timeout_s", "first_token_timeout_s", "stall_timeout_s", "retry_after_max_s"),
)
CHAINS = Section(
    "chain",
    ModelChain,
    (
        "name",
        "links",
        "public",
        "tenants",
        "cache_ttl_s",
        "cache_streams",
        "stream_guard",
        "default_max_tokens",
        "clamp_max_tokens",
        "deadline_s",
        "fall_back_on_client_errors",
        "fall_back_on_content_policy",
        "is_active",
    ),
)
TENANTS = Section(
    "tenant",
    Tenant,
    (
        "name",
        "time_zone",
        "monthly_token_budget",
        "budget_mode",
        "requests_per_minute",
        "store_bodies_days",
        "keep_comparisons_days",
        "webhook_url",
        "is_active",
    ),
    extra=("users",),
)
USERS = Section(
    "user",
    User,
    (
        "username",
        "tenant",
        "role",
        "monthly_token_budget",
        "requests_per_minute",
        "is_active",
    ),
    inherited=("tenant",),
    extra=("password_env",),
    # NULL is the gateway's default there, which a file says by leaving the key out.
    null_as={"requests_per_minute": 0},
)

TOP_LEVEL = (PROVIDERS, MODELS, CHAINS, TENANTS)
BY_MODEL = {section.model: section for section in (*TOP_LEVEL, USERS, LINKS)}
