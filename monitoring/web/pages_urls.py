"""Addresses of the pages about groups, nodes, resources and the history.

Other templates link to these names: groups, group, nodes, node, resource (by `pk`), history.
"""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
