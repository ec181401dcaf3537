"""The one door to Redis: real where REDIS_URL is set, in this process (fakeredis) on the embedded default.

`Redis` is for the event loop; `sync_client` and `run_script` are for Celery tasks, commands and the admin.
"""

from accounts.redis.blocking import publish_configuration_version, run_id, run_script, sync_client
from accounts.redis.door import Redis
from accounts.redis.names import CONFIGURATION_VERSION, EPOCH, key
from accounts.redis.prepared import Prepared
from accounts.redis.script import Script

__all__ = [
    "CONFIGURATION_VERSION",
    "EPOCH",
    "Prepared",
    "Redis",
    "Script",
    "key",
    "publish_configuration_version",
    "run_id",
    "run_script",
    "sync_client",
]
