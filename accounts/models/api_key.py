"""API keys: `gw_live_`, 30 random base62 characters, and 6 that are their CRC32.

The checksum refuses typos and garbage without a query. Only an HMAC-SHA256 of the key, under a pepper that is not in
the database, is stored; the key itself is shown once. 30 base62 characters are 178 bits: not guessable, so a fast hash
is right (the scheme is GitHub's, https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/).
"""

import hashlib
import hmac
import ipaddress
import secrets
import string
import uuid
import zlib
from datetime import timedelta
from typing import ClassVar, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models.configuration import ConfigurationQuerySet
from accounts.models.user import User

PREFIX = "gw_live_"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
RANDOM_LENGTH = 30
CHECKSUM_LENGTH = 6


def generate_key() -> str:
    """A new key, 44 characters."""
    body = PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return body + _checksum(body)


def is_well_formed(key: str) -> bool:
    """Whether the key has our shape and its checksum is right. Says nothing about whether it exists."""
    if not key.isascii() or len(key) != len(PREFIX) + RANDOM_LENGTH + CHECKSUM_LENGTH or not key.startswith(PREFIX):
        return False
    return hmac.compare_digest(_checksum(key[:-CHECKSUM_LENGTH]), key[-CHECKSUM_LENGTH:])


def digest(key: str) -> str:
    """HMAC-SHA256 of the key under the pepper, 64 hexadecimal characters."""
    return hmac.digest(settings.GATEWAY_API_KEY_PEPPER, key.encode(), hashlib.sha256).hex()


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _i in range(CHECKSUM_LENGTH):
        number, remainder = divmod(number, len(ALPHABET))
        digits = ALPHABET[remainder] + digits
    return digits


def validate_networks(networks: object) -> None:
    """Raises ValidationError unless it is a list of networks such as 10.0.0.0/8."""
    if not isinstance(networks, list):
        raise ValidationError('Give a list of networks, for example ["10.0.0.0/8"].')
    for network in networks:
        try:
            ipaddress.ip_network(str(network))  # a number would count as an address
        except ValueError as error:
            raise ValidationError(f"“{network}” is not a network such as 10.0.0.0/8 or 2001:db8::/32.") from error


def validate_names(names: object) -> None:
    """Raises ValidationError unless it is a list of texts."""
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ValidationError('Give a list of names, for example ["default", "openai/gpt-4o-mini"].')


class Comparing(models.TextChoices):
    """Whether a key may ask several models at once."""

    ALLOWED = "allowed", _("Allowed, beside everything else")
    ONLY = "only", _("Comparisons only")
    NEVER = "never", _("No comparisons")


class APIKeyQuerySet(ConfigurationQuerySet["APIKey"]):
    def for_key(self, key: str) -> "APIKey | None":
        """The row of this key, whatever its state, with its user and tenant; None if there is none."""
        return self.select_related("user__tenant").filter(digest=digest(key)).first()


class APIKey(models.Model):
    """A credential of one user. Make one with `issue`, which returns the key itself: it cannot be had again."""

    LIVE_FIELDS: ClassVar[frozenset[str]] = frozenset({"last_used_at"})

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="api_keys", verbose_name=_("user"))
    name = models.CharField(
        _("name"), max_length=100, help_text=_("What the key is for, for example “billing service”.")
    )
    digest = models.CharField(max_length=64, unique=True, editable=False)
    prefix = models.CharField(_("starts with"), max_length=16, editable=False)
    last_four = models.CharField(_("ends with"), max_length=4, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True, help_text=_("Empty: never."))
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    allowed_models = models.JSONField(
        _("allowed chains and models"),
        default=list,
        blank=True,
        validators=[validate_names],
        help_text=_("Names as a JSON list. Empty: everything that the tenant may use."),
    )
    allowed_networks = models.JSONField(
        _("allowed networks"),
        default=list,
        blank=True,
        validators=[validate_networks],
        help_text=_('For example ["10.0.0.0/8"]. Empty: from anywhere.'),
    )
    monthly_token_budget = models.PositiveBigIntegerField(
        _("monthly token budget"), null=True, blank=True, help_text=_("Tokens a calendar month. Empty: no limit.")
    )
    requests_per_minute = models.PositiveIntegerField(
        _("requests per minute"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("For this key alone, beside the user's limit. Empty: no limit of its own."),
    )
    concurrent_requests = models.PositiveIntegerField(
        _("requests at the same time"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("How many of this key's requests may be under way at once. Empty: no limit."),
    )

    comparing = models.CharField(
        _("comparisons"),
        max_length=8,
        choices=Comparing,
        default=Comparing.ALLOWED,
        help_text=_("Whether the key may compare models and read what was compared, or do nothing else."),
    )

    objects = APIKeyQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return f"{self.name} ({self.masked})"

    @classmethod
    def issue(cls, user: User, name: str, **fields: object) -> tuple[Self, str]:
        """Save a new key for the user; returns the row and the key, which is shown once and kept nowhere."""
        row = cls(user=user, name=name, **fields)
        key = row.assign_key()
        row.save()
        return row, key

    def assign_key(self) -> str:
        """Give an unsaved row its key and return it; only what recognizes it again stays with the row."""
        key = generate_key()
        self.digest, self.prefix, self.last_four = digest(key), key[: len(PREFIX) + 4], key[-4:]
        return key

    @property
    def masked(self) -> str:
        return f"{self.prefix}…{self.last_four}"

    @property
    def is_usable(self) -> bool:
        """Neither revoked nor expired, and its user may call: active, and of an active tenant."""
        return self.revoked_at is None and not self.is_expired and self.user.may_call

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    def revoke(self) -> None:
        """Refuse the key from the next request on. A second call leaves the moment of the first."""
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self.save(update_fields=["revoked_at"])

    @transaction.atomic
    def rotate(self, overlap: timedelta) -> tuple[Self, str]:
        """Issue a successor with the same rights and expiry; this key goes on working for the overlap.

        Raises ValidationError for a key that is revoked or expired: what was taken away must not come back this way.
        """
        if self.revoked_at is not None or self.is_expired:
            raise ValidationError("This key is revoked or expired, so it cannot be rotated. Issue a new key instead.")
        successor, key = self.issue(
            self.user,
            self.name,
            expires_at=self.expires_at,
            allowed_models=self.allowed_models,
            allowed_networks=self.allowed_networks,
            monthly_token_budget=self.monthly_token_budget,
            requests_per_minute=self.requests_per_minute,
            concurrent_requests=self.concurrent_requests,
            comparing=self.comparing,
        )
        ends = timezone.now() + overlap
        self.expires_at = min(self.expires_at, ends) if self.expires_at else ends
        self.save(update_fields=["expires_at"])
        return successor, key
