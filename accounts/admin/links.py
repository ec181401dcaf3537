"""Addresses inside the admin."""

from urllib.parse import urlencode

from django.db import models
from django.urls import reverse


def list_url(model: type[models.Model], **filters: object) -> str:
    """A model's list, with filters as they stand in the list's own address."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url


def page_url(row: models.Model, page: str = "change") -> str:
    """A row's page; `page` is the last part of the route's name."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}", args=[row.pk])
