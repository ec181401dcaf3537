"""Liveness, readiness, and the front page."""

from typing import Any

import orjson
from django.conf import settings
from django.http import HttpResponse
from django.template.loader import render_to_string
from drf_spectacular.utils import extend_schema_view
from redis.exceptions import RedisError
from rest_framework.request import Request

from accounts.errors import PartUnavailable
from accounts.models import ConfigurationVersion
from accounts.page_policy import PLAIN
from accounts.sql import run_sql
from proxy.gateway import Gateway, running
from proxy.http.view import AsyncAPIView
from proxy.schema import get_health, get_landing, get_readiness


@extend_schema_view(get=get_health)
class Health(AsyncAPIView):
    """The process lives. Says nothing about what it depends on: see `/health/ready`."""

    async def get(self, request: Request) -> HttpResponse:
        return _json({"status": "ok", "service": "llm-gateway-proxy"})


@extend_schema_view(get=get_landing)
class Landing(Health):
    """The front page for browsers; liveness for everything else."""

    async def get(self, request: Request) -> HttpResponse:
        if "text/html" in request.headers.get("accept", ""):
            scheme = "https" if settings.GATEWAY_HTTPS else "http"
            base_url = f"{scheme}://{request.headers.get('host', '')}/v1"
            page = render_to_string("proxy/landing.html", {"base_url": base_url})
            return HttpResponse(page, headers={"Content-Security-Policy": PLAIN})
        return await super().get(request)


@extend_schema_view(get=get_readiness)
class Ready(AsyncAPIView):
    """Whether the database, Redis and the catalogue are there: 200 or 503."""

    async def get(self, request: Request) -> HttpResponse:
        gateway = running()
        checks = {
            "database": await _database(),
            "redis": await _redis(gateway),
            "catalogue": "ok" if gateway.catalogue else "not loaded",
        }
        ready = set(checks.values()) == {"ok"}
        status = 200 if ready else 503
        return _json({"status": "ready" if ready else "not_ready", "checks": checks}, status=status)


async def _database() -> str:
    try:
        await run_sql(ConfigurationVersion.current)
    except PartUnavailable:
        return "unavailable"
    return "ok"


async def _redis(gateway: Gateway) -> str:
    try:
        return "ok" if await gateway.ledger.current_epoch() else "rebuilding"
    except RedisError:
        return "unavailable"


def _json(data: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(orjson.dumps(data), content_type="application/json", status=status)
