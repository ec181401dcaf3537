"""Who is calling: the one object that both kinds of credential resolve to."""

import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime

from accounts.models import APIKey, User
from accounts.tokens import password_digest


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller and what was granted. `key_*` are None and "" where a JWT was shown.

    `tenant_id` and `user_id` are None only for operators who try a chain in the admin.
    """

    tenant_id: int | None
    tenant_name: str
    time_zone: str
    user_id: int | None
    username: str
    password_digest: str = field(repr=False)
    key_id: uuid.UUID | None = None
    key_name: str = ""
    expires_at: datetime | None = None
    allowed_models: frozenset[str] = frozenset()
    allowed_networks: tuple[str, ...] = ()

    def may_use(self, name: str) -> bool:
        """Whether the key's allow-list names this chain or model; an empty list allows all."""
        return not self.allowed_models or name in self.allowed_models

    @classmethod
    def from_user(cls, user: User) -> "Caller | None":
        """None for a user who may not call: inactive, without a tenant, or of an inactive tenant."""
        if not user.is_active or user.tenant is None or not user.tenant.is_active:
            return None
        return cls(
            tenant_id=user.tenant.pk,
            tenant_name=user.tenant.name,
            time_zone=user.tenant.time_zone,
            user_id=user.pk,
            username=user.username,
            password_digest=password_digest(user),
        )

    @classmethod
    def from_key(cls, row: APIKey) -> "Caller | None":
        """None for a key that may not be used, whatever the reason. Expiry is checked at each use."""
        user = cls.from_user(row.user)
        if user is None or row.revoked_at is not None:
            return None
        return replace(
            user,
            key_id=row.pk,
            key_name=row.name,
            expires_at=row.expires_at,
            allowed_models=frozenset(row.allowed_models),
            allowed_networks=tuple(row.allowed_networks),
        )
