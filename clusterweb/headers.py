"""Headers that every answer carries, pages, files, errors and redirects alike.

Outermost of the middleware, so that nothing inside is left out. The Content-Security-Policy is
django-csp's; HSTS, Referrer-Policy, Cross-Origin-Opener-Policy and X-Content-Type-Options are
Django's own (SecurityMiddleware).
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, cast

from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

UNUSED = (
    *("accelerometer", "autoplay", "browsing-topics", "camera", "display-capture", "encrypted-media"),
    *("fullscreen", "gamepad", "geolocation", "gyroscope", "hid", "idle-detection", "magnetometer"),
    *("microphone", "midi", "payment", "picture-in-picture", "publickey-credentials-get"),
    *("screen-wake-lock", "serial", "usb", "xr-spatial-tracking"),
)
"""What a browser can do and no page of ours asks for."""
EVERYWHERE = {
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in UNUSED),
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Permitted-Cross-Domain-Policies": "none",
    "Cache-Control": "no-store",  # static files say otherwise themselves
}


@sync_and_async_middleware
def every_answer(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Adds what is missing; a header that a view has set stays."""

    def add(response: HttpResponseBase) -> HttpResponseBase:
        for name, value in EVERYWHERE.items():
            response.headers.setdefault(name, value)
        return response

    if inspect.iscoroutinefunction(get_response):

        async def later(request: HttpRequest) -> HttpResponseBase:
            return add(await cast(Awaitable[HttpResponseBase], get_response(request)))

        return later
    return lambda request: add(get_response(request))
