"""Addresses of everything that answers over HTTP."""

from __future__ import annotations

from django.urls import include, path

from monitoring.api import node_join, node_messages

urlpatterns = [
    path("", include("monitoring.web.urls")),
    path("api/v1/", include("monitoring.api.urls")),
    path("node/join", node_join.join, name="node-join"),
    path("node/messages", node_messages.exchange, name="node-messages"),
]

handler403 = "monitoring.web.errors.forbidden"
handler404 = "monitoring.web.errors.not_found"
handler500 = "monitoring.web.errors.broken"
