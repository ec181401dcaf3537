"""The Celery worker outlives its Redis."""

import uuid
from typing import Any

import pytest
from celery import current_app

pytestmark = pytest.mark.services


def test_a_worker_that_loses_redis_in_mid_task_can_close_its_connection():
    """With a task that is not acknowledged yet, and without the parameters that a broken connection has given up."""
    connection = current_app.connection_for_read()
    queue = connection.SimpleQueue(f"test-{uuid.uuid4().hex}")
    queue.put("a task")
    message = queue.get(timeout=5)
    transport: Any = connection.transport
    transport.client = None
    connection.close()
    message.ack()
