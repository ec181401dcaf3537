"""Wiring: settings, routes, the ASGI entry point and Celery. No rules live here."""

from gateway_project.celery import app as celery_app

__all__ = ["celery_app"]
