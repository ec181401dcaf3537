"""The blocking client, for Celery tasks, commands and the admin."""

import functools
import logging
from collections.abc import Sequence
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from accounts.redis.names import CONFIGURATION_VERSION
from accounts.redis.script import SCRIPTS, Script

if settings.EMBEDDED:
    from accounts.redis import embedded  # brings numpy along, which a process on a real Redis starts without

logger = logging.getLogger(__name__)


@functools.cache
def sync_client() -> "redis.Redis":
    """The client; it may be used by many threads."""
    if settings.EMBEDDED:
        return embedded.sync_client()
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=5,
        socket_connect_timeout=settings.GATEWAY_REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1),
    )


def run_script(script: Script, keys: Sequence[str], args: Sequence[Any] = ()) -> Any:
    """Call a script; loads it where the server does not know it. Raises RedisError."""
    client = sync_client()
    try:
        return client.evalsha(script.sha, len(keys), *keys, *args)
    except NoScriptError:
        return client.eval(script.source, len(keys), *keys, *args)


def publish_configuration_version(version: int) -> None:
    """Tell every process that this version is committed. If Redis is down it is lost; they also poll the database."""
    try:
        run_script(_raise_version(), [CONFIGURATION_VERSION], [version])
    except RedisError as error:
        logger.warning("Could not publish configuration version %s: %s. It is polled within a second.", version, error)


def run_id() -> str:
    """Which life of Redis this is; "" for the one inside this process, which cannot come back as another one."""
    return "" if settings.EMBEDDED else str(sync_client().info("server")["run_id"])


@functools.cache
def _raise_version() -> Script:
    return Script(SCRIPTS / "raise_version.lua")
