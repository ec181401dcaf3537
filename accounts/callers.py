"""Who is calling: the one object that both kinds of credential resolve to."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache

from django.conf import settings

from accounts.errors import NotPermitted
from accounts.limits import Budget, ConcurrencyLimit, Mode, Month, RateLimit, Scope
from accounts.models import APIKey, Tenant, TopUp, User
from accounts.models.api_key import Comparing
from accounts.models.tenant import BudgetMode
from accounts.networks import rate_key
from accounts.quota import Quota
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
    rate_limits: tuple[RateLimit, ...] = ()
    gates: tuple[ConcurrencyLimit, ...] = ()
    budgets: tuple[Budget, ...] = ()
    comparing: str = Comparing.ALLOWED
    stores_bodies: bool = False
    is_anonymous: bool = False
    _quotas: dict[str, Quota] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def cache_scope(self) -> str:
        """Whose answers this caller may be given from the cache: the own tenant's, and nobody else's."""
        return "anonymous" if self.tenant_id is None else f"tenant {self.tenant_id}"

    @property
    def idempotency_scope(self) -> str:
        """Who may be given an answer again under the same idempotency key: the same API key, else the same user."""
        if self.is_anonymous:
            return f"anonymous {self.budgets[0].subject}"
        return f"key {self.key_id}" if self.key_id else f"tenant {self.tenant_id} user {self.user_id}"

    def quota(self, month: Month) -> Quota:
        """What this caller may in a month of its time zone."""
        quota = self._quotas.get(month.name)
        if quota is None:
            quota = self._quotas[month.name] = Quota(month, self.rate_limits, self.gates, self.budgets)
        return quota

    def may_use(self, name: str) -> bool:
        """Whether the key's allow-list names this chain or model; an empty list allows all."""
        return not self.allowed_models or name in self.allowed_models

    def require_comparing(self) -> None:
        """Raises NotPermitted for a key that may not compare."""
        if self.comparing == Comparing.NEVER:
            raise NotPermitted(
                "This API key may not compare models. Ask an administrator of your tenant.",
                code="comparing_not_allowed",
            )

    def require_plain_calls(self) -> None:
        """Raises NotPermitted for a key that may do nothing but compare."""
        if self.comparing == Comparing.ONLY:
            raise NotPermitted(
                "This API key may only compare models: POST /compare_models. Ask an administrator of your tenant for "
                "one that may do more.",
                code="comparing_only",
            )

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
            rate_limits=tuple(_rate_limits(user, user.tenant)),
            stores_bodies=user.tenant.store_bodies_days > 0,
            budgets=(tenant_budget(user.tenant), user_budget(user)),
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
            rate_limits=(*user.rate_limits, *_limit("key", row.pk, row.requests_per_minute)),
            gates=_gates(row),
            comparing=row.comparing,
            budgets=(*user.budgets, key_budget(row)),
        )

    @classmethod
    def anonymous(cls, ip: str) -> "Caller":
        """Somebody without a credential, known by the network address alone."""
        subject = rate_key(ip)
        own = _limit("ip", subject, settings.GATEWAY_ANONYMOUS_REQUESTS_PER_MINUTE)
        return _anonymous((*_global_limit(), *own), subject, settings.GATEWAY_ANONYMOUS_MONTHLY_TOKENS)


@lru_cache(maxsize=4096)
def _anonymous(rate_limits: tuple[RateLimit, ...], subject: str, tokens: int | None) -> Caller:
    """The same for as long as the limits are: what is prepared for a caller's requests is kept by its quota."""
    return Caller(
        tenant_id=None,
        tenant_name="",
        time_zone="UTC",
        user_id=None,
        username="anonymous",
        password_digest="",
        rate_limits=rate_limits,
        budgets=(Budget("ip", subject, tokens),),
        is_anonymous=True,
    )


def _rate_limits(user: User, tenant: Tenant) -> Iterator[RateLimit]:
    default = settings.GATEWAY_REQUESTS_PER_MINUTE
    yield from _global_limit()
    yield from _limit("tenant", tenant.pk, tenant.requests_per_minute)
    yield from _limit("user", user.pk, default if user.requests_per_minute is None else user.requests_per_minute)


def _global_limit() -> Iterator[RateLimit]:
    yield from _limit("global", "all", settings.GATEWAY_GLOBAL_REQUESTS_PER_MINUTE)


def _limit(scope: Scope, subject: object, limit: int | None) -> Iterator[RateLimit]:
    """Nothing for None and 0: no limit."""
    if limit:
        yield RateLimit(scope, str(subject), limit)


def _gates(row: APIKey) -> tuple[ConcurrencyLimit, ...]:
    limit = row.concurrent_requests
    return (ConcurrencyLimit("key", str(row.pk), limit),) if limit else ()


def tenant_budget(tenant: Tenant) -> Budget:
    mode: Mode = "soft" if tenant.budget_mode == BudgetMode.SOFT else "hard"
    return Budget("tenant", str(tenant.pk), tenant.monthly_token_budget, mode, TopUp.objects.by_month(tenant=tenant))


def user_budget(user: User) -> Budget:
    return Budget("user", str(user.pk), user.monthly_token_budget, "hard", TopUp.objects.by_month(user=user))


def key_budget(row: APIKey) -> Budget:
    return Budget("key", str(row.pk), row.monthly_token_budget, "hard", TopUp.objects.by_month(api_key=row))
