"""Addresses of everything that answers over HTTP."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("", include("monitoring.web.urls")),
    path("api/v1/", include("monitoring.api.urls")),
]

handler403 = "monitoring.web.errors.forbidden"
handler404 = "monitoring.web.errors.not_found"
handler500 = "monitoring.web.errors.broken"
