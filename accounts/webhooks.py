"""Webhooks: one signed POST of JSON, as Standard Webhooks describes it (https://www.standardwebhooks.com).

Headers: `webhook-id`, `webhook-timestamp` (seconds), and `webhook-signature: v1,<base64>`, the HMAC-SHA256 of
`<id>.<timestamp>.<body>` under the address's secret. Redirects are not followed.
"""

import asyncio
import base64
import hashlib
import hmac
import time

import aiohttp
from django.conf import settings
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

TIMEOUT = aiohttp.ClientTimeout(total=5)
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every such secret begins with

validate_webhook_url = RegexValidator(
    r"^https?://[^\s/?#@]+(/[^\s#]*)?\Z",
    _("Write an address such as https://example.com/hooks/llm-gateway, without a user name or password."),
)


class WebhookFailed(Exception):
    """The receiver did not take it. The message never has the address, which may hold a secret."""


def secret_of(tenant_id: int, url: str) -> str:
    """`whsec_…`, derived from GATEWAY_ENCRYPTION_KEY: another tenant or address has another one."""
    return SECRET_PREFIX + base64.b64encode(_key(tenant_id, url)).decode()


def post(tenant_id: int, url: str, message_id: str, body: bytes) -> None:
    """Send it once; any 2xx within 5 seconds counts as taken. Raises WebhookFailed."""
    timestamp = str(int(time.time()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    signature = base64.b64encode(hmac.digest(_key(tenant_id, url), signed, hashlib.sha256)).decode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "llm-gateway",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }
    try:
        status = asyncio.run(_status(url, body, headers))
    except (aiohttp.ClientError, OSError, ValueError) as error:  # a timeout is an OSError
        raise WebhookFailed(f"no answer ({type(error).__name__})") from error
    if not 200 <= status < 300:
        raise WebhookFailed(f"HTTP {status}")


async def _status(url: str, body: bytes, headers: dict[str, str]) -> int:
    async with (
        aiohttp.ClientSession(timeout=TIMEOUT, headers=headers) as session,
        session.post(url, data=body, allow_redirects=False) as response,
    ):
        return response.status


def _key(tenant_id: int, url: str) -> bytes:
    return hmac.digest(settings.GATEWAY_FIELD_KEY, f"webhook:{tenant_id}:{url}".encode(), hashlib.sha256)
