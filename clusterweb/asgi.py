"""The ASGI application: HTTP to Django, WebSockets to the live room."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clusterweb.settings")

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

http = get_asgi_application()

import monitoring.web.topics  # noqa: E402, F401  # each page registers what of it is live
from monitoring.live.origin import SameOrigin  # noqa: E402
from monitoring.live.routing import urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": SameOrigin(AuthMiddlewareStack(URLRouter(urlpatterns))),
    }
)
