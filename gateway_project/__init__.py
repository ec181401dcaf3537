"""Wiring: settings, routes, the ASGI entry point and Celery. No rules live here.

Importing it imports nothing: a web process on real services does without Celery, which takes a quarter of a second.
"""
