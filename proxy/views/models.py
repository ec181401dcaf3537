"""`GET /v1/models`: what this caller may use."""

from typing import Any

import orjson
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema_view
from rest_framework.request import Request

from proxy.catalogue import Route
from proxy.gateway import running
from proxy.http.view import AsyncAPIView
from proxy.schema import list_models, retrieve_model


@extend_schema_view(get=list_models)
class ModelList(AsyncAPIView):
    """Chains first, the default chain first of all, then models; in OpenAI's shape."""

    async def get(self, request: Request) -> HttpResponse:
        caller, catalogue = await running().authenticate(request.headers, self.client_ip)
        data = [_entry(route) for route in catalogue.offered_to(caller)]
        return _json({"object": "list", "data": data})


@extend_schema_view(get=retrieve_model)
class ModelDetail(AsyncAPIView):
    """One chain or model."""

    async def get(self, request: Request, name: str) -> HttpResponse:
        caller, catalogue = await running().authenticate(request.headers, self.client_ip)
        return _json(_entry(catalogue.find(name, caller)))


def _entry(route: Route) -> dict[str, Any]:
    is_chain = route.owner == ""
    entry: dict[str, Any] = {
        "id": route.name,
        "object": "model",
        "created": route.created,
        "owned_by": route.owner or "gateway",
    }
    if is_chain:
        entry["links"] = [link.model for link in route.links]
    return entry


def _json(data: dict[str, Any]) -> HttpResponse:
    return HttpResponse(orjson.dumps(data), content_type="application/json")
