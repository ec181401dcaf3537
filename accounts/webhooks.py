"""Webhooks: one signed POST of JSON, as Standard Webhooks describes it (https://www.standardwebhooks.com).

Headers: `webhook-id`, `webhook-timestamp` (seconds), and `webhook-signature: v1,<base64>`, the HMAC-SHA256 of
`<id>.<timestamp>.<body>` under the address's secret. Redirects are not followed.
"""

import base64
import hashlib
import hmac

from django.conf import settings
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

SECRET_PREFIX = "whsec_"  # noqa: S105 - what every such secret begins with

validate_webhook_url = RegexValidator(
    r"^https?://[^\s/?#@]+(/[^\s#]*)?\Z",
    _("Write an address such as https://example.com/hooks/llm-gateway, without a user name or password."),
)


def secret_of(tenant_id: int, url: str) -> str:
    """`whsec_…`, derived from GATEWAY_ENCRYPTION_KEY: another tenant or address has another one."""
    return SECRET_PREFIX + base64.b64encode(_key(tenant_id, url)).decode()


def sign(tenant_id: int, url: str, signed: bytes) -> str:
    """`v1,<base64>`; `signed`: `<id>.<timestamp>.<body>`."""
    return "v1," + base64.b64encode(hmac.digest(_key(tenant_id, url), signed, hashlib.sha256)).decode()


def _key(tenant_id: int, url: str) -> bytes:
    return hmac.digest(settings.GATEWAY_FIELD_KEY, f"webhook:{tenant_id}:{url}".encode(), hashlib.sha256)
