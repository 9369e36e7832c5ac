"""Address of the live feed, as the `live.js` of a page calls it."""

from __future__ import annotations

from django.urls import path

from monitoring.live.consumer import LiveConsumer

urlpatterns = [path("live/", LiveConsumer.as_asgi())]
