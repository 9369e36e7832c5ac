"""Addresses of the REST API, version 1. Things are named by their name, or by their id."""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from monitoring.api import views

app_name = "api"

GROUP_VERBS = ("online", "offline", "restart", "maintenance", "end-maintenance")
RESOURCE_VERBS = ("online", "offline", "restart", "fail")
NODE_VERBS = ("pause", "drain", "clear-quarantine")
CLUSTER_VERBS = ("maintenance", "end-maintenance")

urlpatterns: list[URLPattern] = [
    path("cluster", views.cluster, name="cluster"),
    *(
        path(f"cluster/{verb}", views.act_on_cluster, {"verb": verb}, name=f"cluster-{verb}")
        for verb in CLUSTER_VERBS
    ),
    path("nodes", views.nodes, name="nodes"),
    path("nodes/<str:node>", views.node, name="node"),
    *(
        path(f"nodes/<str:node>/{verb}", views.act_on_node, {"verb": verb}, name=f"node-{verb}")
        for verb in NODE_VERBS
    ),
    path("nodes/<str:node>/resume", views.resume_node, name="node-resume"),
    path("nodes/<str:node>/evict", views.evict_node, name="node-evict"),
    path("groups", views.groups, name="groups"),
    path("groups/<str:group>", views.group, name="group"),
    path("groups/<str:group>/move", views.move_group, name="group-move"),
    *(
        path(f"groups/<str:group>/{verb}", views.act_on_group, {"verb": verb}, name=f"group-{verb}")
        for verb in GROUP_VERBS
    ),
    path("resources", views.resources, name="resources"),
    path("resources/<str:resource>", views.resource, name="resource"),
    *(
        path(
            f"resources/<str:resource>/{verb}",
            views.act_on_resource,
            {"verb": verb},
            name=f"resource-{verb}",
        )
        for verb in RESOURCE_VERBS
    ),
    path("operations/<int:id>", views.operation, name="operation"),
    path("events", views.events, name="events"),
    path("records", views.records, name="records"),
    path("records/<int:id>", views.record, name="record"),
    re_path(r"^(?P<path>.*)$", views.unknown, name="unknown"),
]
