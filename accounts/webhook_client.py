"""Sends webhooks, as workers alone do: aiohttp takes a tenth of a second to import."""

import asyncio
import time

import aiohttp

from accounts.webhooks import sign

TIMEOUT = aiohttp.ClientTimeout(total=5)


class WebhookFailed(Exception):
    """The receiver did not take it. The message never has the address, which may hold a secret."""


def post(tenant_id: int, url: str, message_id: str, body: bytes) -> None:
    """Send it once; any 2xx within 5 seconds counts as taken. Raises WebhookFailed."""
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "llm-gateway",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": sign(tenant_id, url, f"{message_id}.{timestamp}.".encode() + body),
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
