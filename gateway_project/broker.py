"""Celery's Redis transport, for workers that outlive their Redis.

When a worker loses its connection while messages are not acknowledged yet, kombu 5.7 closes the channel after it has
thrown the connection's parameters away, fails on that (AttributeError) as it puts the messages back, and the worker
ends. Here the messages stay where they are: in Redis, which gives them to a worker again after the visibility timeout.
"""

from typing import Any

from kombu.transport import redis


class QoS(redis.QoS):
    """What was delivered and is not acknowledged yet."""

    def restore_unacked_once(self, stderr: Any = None) -> None:
        if self._is_connected:
            super().restore_unacked_once(stderr)

    def ack(self, delivery_tag: str) -> None:
        if self._is_connected:
            super().ack(delivery_tag)

    @property
    def _is_connected(self) -> bool:
        transport: Any = self.channel.connection
        return transport is not None and transport.client is not None


class Channel(redis.Channel):
    QoS = QoS


class Transport(redis.Transport):
    Channel = Channel
