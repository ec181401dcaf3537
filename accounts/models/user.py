from typing import ClassVar

from django.contrib.auth.models import AbstractUser, UserManager as DjangoUserManager
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models.configuration import ConfigurationQuerySet
from accounts.models.tenant import Tenant


class Role(models.TextChoices):
    MEMBER = "member", _("Member")
    TENANT_ADMIN = "tenant_admin", _("Tenant administrator")


class UserManager(DjangoUserManager.from_queryset(ConfigurationQuerySet)):  # type: ignore[misc]  # a class made at run time
    """Django's own, on a queryset that counts configuration changes."""


class User(AbstractUser):
    """A person or a service that calls the gateway. Operators (superusers) may have no tenant; they cannot call it."""

    LIVE_FIELDS: ClassVar[frozenset[str]] = frozenset({"last_login"})

    tenant = models.ForeignKey(
        Tenant, models.PROTECT, related_name="users", null=True, blank=True, verbose_name=_("tenant")
    )
    role = models.CharField(_("role"), max_length=16, choices=Role, default=Role.MEMBER)
    monthly_token_budget = models.PositiveBigIntegerField(
        _("monthly token budget"), null=True, blank=True, help_text=_("Tokens a calendar month. Empty: no limit.")
    )
    requests_per_minute = models.PositiveIntegerField(
        _("requests per minute"),
        null=True,
        blank=True,
        help_text=_("Over all of the user's keys. Empty: the gateway's default (60 unless configured). 0: no limit."),
    )

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        ordering = ["username"]
        verbose_name = _("user")
        verbose_name_plural = _("users")

    def save(self, *args: object, **kwargs: object) -> None:
        if not self.is_superuser:
            self.is_staff = self.role == Role.TENANT_ADMIN  # who works in the admin
        super().save(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

    @property
    def is_tenant_admin(self) -> bool:
        return self.role == Role.TENANT_ADMIN and self.tenant_id is not None

    @property
    def may_call(self) -> bool:
        """Active, and of an active tenant."""
        return self.is_active and self.tenant is not None and self.tenant.is_active
