"""The Celery application: `celery -A gateway_project worker` and `celery -A gateway_project beat`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")

from gateway_project.schedule import SCHEDULE

app = Celery("gateway_project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_schedule = SCHEDULE
app.autodiscover_tasks()
