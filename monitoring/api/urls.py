"""Addresses of the REST API, version 1. Things are named by their name, or by their id."""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from monitoring.api import audit, availability, balance, fencing, flights, schedules, topology, types, views

app_name = "api"

GROUP_VERBS = ("online", "offline", "restart", "maintenance", "end-maintenance")
RESOURCE_VERBS = ("online", "offline", "restart", "fail")
NODE_VERBS = ("pause", "drain", "clear-quarantine", "fence")
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
    path("nodes/<str:node>/rotate-key", views.rotate_key, name="node-rotate-key"),
    path("nodes/<str:node>/evict", views.evict_node, name="node-evict"),
    path("nodes/<str:node>/confirm-off", fencing.confirm_off, name="node-confirm-off"),
    path("nodes/<str:node>/fencing", fencing.node, name="node_fencing"),
    path("nodes/<str:node>/fencing/add", fencing.add_step, name="fence-step-add"),
    path("nodes/<str:node>/fencing/change", fencing.change_step, name="fence-step-change"),
    path("nodes/<str:node>/fencing/remove", fencing.remove_step, name="fence-step-remove"),
    path("fencing/agents", fencing.agents, name="fence_agents"),
    path("fencing/agents/<str:agent>", fencing.agent, name="fence_agent"),
    path("fencing/devices", fencing.devices, name="fence_devices"),
    path("fencing/devices/add", fencing.add_device, name="fence-device-add"),
    path("fencing/devices/<str:device>", fencing.device, name="fence_device"),
    path("fencing/devices/<str:device>/change", fencing.change_device, name="fence-device-change"),
    path("fencing/devices/<str:device>/delete", fencing.delete_device, name="fence-device-delete"),
    path("fencing/devices/<str:device>/test", fencing.test_device, name="fence-device-test"),
    path("groups", views.groups, name="groups"),
    path("groups/add", topology.add_group, name="group-add"),
    path("groups/<str:group>", views.group, name="group"),
    path("groups/<str:group>/change", topology.change_group, name="group-change"),
    path("groups/<str:group>/delete", topology.delete_group, name="group-delete"),
    path("groups/<str:group>/move", views.move_group, name="group-move"),
    *(
        path(f"groups/<str:group>/{verb}", views.act_on_group, {"verb": verb}, name=f"group-{verb}")
        for verb in GROUP_VERBS
    ),
    path("resources", views.resources, name="resources"),
    path("resources/add", topology.add_resource, name="resource-add"),
    path("resources/<str:resource>", views.resource, name="resource"),
    path("resources/<str:resource>/change", topology.change_resource, name="resource-change"),
    path("resources/<str:resource>/delete", topology.delete_resource, name="resource-delete"),
    path("resources/<str:resource>/output", views.output, name="resource_output"),
    *(
        path(
            f"resources/<str:resource>/{verb}",
            views.act_on_resource,
            {"verb": verb},
            name=f"resource-{verb}",
        )
        for verb in RESOURCE_VERBS
    ),
    path("types", types.all_types, name="types"),
    path("types/<str:type>", types.one_type, name="type"),
    path("what-if", views.what_if, name="what_if"),
    path("balance", balance.suggested, name="balance"),
    path("balance/apply", balance.apply, name="balance-apply"),
    path("schedule.ics", schedules.calendar, name="schedule_ics"),
    path("schedules", schedules.listed, name="schedules"),
    path("schedules/add", schedules.add, name="schedule-add"),
    path("schedules/check", schedules.check, name="schedule-check"),
    path("schedules/runs", schedules.run_list, name="schedule_runs"),
    path("schedules/runs/<int:run>/note", schedules.note, name="schedule-run-note"),
    path("schedules/<int:id>", schedules.one, name="schedule"),
    path("schedules/<int:id>/change", schedules.change, name="schedule-change"),
    *(
        path(f"schedules/<int:id>/{verb}", schedules.act, {"verb": verb}, name=f"schedule-{verb}")
        for verb in schedules.VERBS
    ),
    path("operations/<int:id>", views.operation, name="operation"),
    path("events", views.events, name="events"),
    path("records", views.records, name="records"),
    path("records/<int:id>", flights.record, name="record"),
    path("records/<int:id>/notes", flights.note_list, name="notes"),
    path("records/<int:id>/notes/add", flights.add_note, name="note-add"),
    path("records/<int:id>/notes/<int:note>/change", flights.change_note, name="note-change"),
    path("records/<int:id>/notes/<int:note>/delete", flights.delete_note, name="note-delete"),
    path("audit", audit.trail, name="audit"),
    path("timeline", availability.timeline, name="timeline"),
    path("moment", availability.moment, name="moment"),
    path("availability", availability.report, name="availability"),
    path("outages/<int:number>/mark", availability.mark_outage, name="outage-mark"),
    re_path(r"^(?P<path>.*)$", views.unknown, name="unknown"),
]
