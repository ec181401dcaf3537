"""What browsers are told that a page may run, load and send: its Content-Security-Policy (W3C CSP 3).

The pages of members have a stricter one of their own (`comparisons.pages.members`).
"""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase

P = ParamSpec("P")
R = TypeVar("R", bound=HttpResponseBase)


def policy(**sources: str) -> str:
    """The header: nothing but what is named. `img_src="'self'"` is the directive `img-src 'self'`."""
    nothing = {"default_src": "'none'", "object_src": "'none'", "base_uri": "'none'", "form_action": "'none'"}
    named = {**nothing, "frame_ancestors": "'none'", **sources}
    return "; ".join(f"{name.replace('_', '-')} {value}" for name, value in named.items())


# Static pages with a style of their own.
PLAIN = policy(style_src="'unsafe-inline'", img_src="data:")
# Swagger's: its images are in its stylesheet, and its components set styles.
DOCS = policy(script_src="'self'", style_src="'self' 'unsafe-inline'", img_src="'self' data:", connect_src="'self'")
# Unfold's: Alpine makes functions of the expressions in its attributes, which is why 'unsafe-eval' must be. Colours are
# an inline style sheet, widths are style attributes. Inline scripts are not needed.
ADMIN = policy(
    script_src="'self' 'unsafe-eval'",
    style_src="'self' 'unsafe-inline'",
    img_src="'self'",
    font_src="'self'",
    connect_src="'self'",
    form_action="'self'",
)


def page_policy(
    header: str,
) -> Callable[[Callable[Concatenate[HttpRequest, P], R]], Callable[Concatenate[HttpRequest, P], R]]:
    """For views of pages. An answer that has a policy already keeps its own."""

    def decorate(view: Callable[Concatenate[HttpRequest, P], R]) -> Callable[Concatenate[HttpRequest, P], R]:
        @wraps(view)
        def with_policy(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> R:
            response = view(request, *args, **kwargs)
            response.headers.setdefault("Content-Security-Policy", header)
            return response

        return with_policy

    return decorate
