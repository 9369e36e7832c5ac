"""Addresses of the actions: /groups/1/move/ is named group-move, /nodes/2/drain/ node-drain;
/cluster/maintenance/ cluster-maintenance."""

from __future__ import annotations

from django.urls import path

from monitoring.web import actions, verbs

urlpatterns = [
    path(f"{what}s/<int:pk>/{verb}/", view, {"verb": verb}, name=f"{what}-{verb}")
    for what, view, known in (
        ("group", actions.group_action, verbs.GROUP),
        ("node", actions.node_action, verbs.NODE),
        ("resource", actions.resource_action, verbs.RESOURCE),
    )
    for verb in known
]
urlpatterns += [
    path(f"cluster/{verb}/", actions.cluster_action, {"verb": verb}, name=f"cluster-{verb}")
    for verb in verbs.CLUSTER
]
