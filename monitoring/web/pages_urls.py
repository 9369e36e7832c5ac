"""Addresses of the pages about the cluster, groups, nodes, resources and the history.

Other templates link to these names: groups, group, nodes, node, resource (by `pk`), history,
record. Actions on them have addresses of their own (actions_urls).
"""

from __future__ import annotations

from django.urls import path

from monitoring.web import (
    access,
    audit,
    availability,
    balance,
    cluster_settings,
    export,
    fencing,
    flight,
    group_settings,
    groups,
    history,
    moment,
    node_join,
    node_settings,
    nodes,
    notes,
    resource_settings,
    resources,
    schedule,
    schedule_form,
    timeline,
    training,
    what_if,
    wizard,
)

urlpatterns = [
    path("groups/", groups.page, name="groups"),
    path("groups/<int:pk>/", groups.detail_page, name="group"),
    path("groups/new/", wizard.choose, name="group_create"),
    path("groups/new/empty/", group_settings.create, name="group_empty"),
    path(
        "groups/new/exchange-virtual-server/",
        wizard.page,
        {"key": "exchange-virtual-server"},
        name="exchange_create",
    ),
    path("groups/new/<slug:key>/", wizard.page, name="group_from_template"),
    path("groups/<int:pk>/settings/", group_settings.settings, name="group_settings"),
    path("groups/<int:pk>/settings/owners/", group_settings.owners, name="group_owners"),
    path("groups/<int:pk>/settings/delete/", group_settings.delete, name="group_delete"),
    path("groups/<int:pk>/resources/new/", resource_settings.create, name="resource_create"),
    path("training/", training.page, name="training"),
    path("access/", access.page, name="access"),
    path("access/tokens/<int:pk>/revoke/", access.revoke, name="access_revoke"),
    path("access/forget/", access.forget, name="access_forget"),
    path("cluster/settings/", cluster_settings.settings, name="cluster_settings"),
    path("nodes/", nodes.page, name="nodes"),
    path("nodes/new/", node_join.create, name="node_create"),
    path("nodes/<int:pk>/joining/", node_join.joining_page, name="node_joining"),
    path("nodes/<int:pk>/", nodes.detail_page, name="node"),
    path("nodes/<int:pk>/settings/", node_settings.settings, name="node_settings"),
    path("nodes/<int:pk>/fencing/", fencing.levels, name="node_fencing"),
    path("nodes/<int:pk>/fencing/add/", fencing.step_create, name="fence_step_create"),
    path("fencing/", fencing.page, name="fencing"),
    path("fencing/devices/new/", fencing.create, name="fence_device_create"),
    path("fencing/devices/<int:pk>/", fencing.device, name="fence_device"),
    path("fencing/devices/<int:pk>/delete/", fencing.delete, name="fence_device_delete"),
    path("fencing/devices/<int:pk>/test/", fencing.test, name="fence_device_test"),
    path("fencing/steps/<int:pk>/", fencing.step, name="fence_step"),
    path("fencing/steps/<int:pk>/remove/", fencing.step_remove, name="fence_step_remove"),
    path("resources/<int:pk>/", resources.page, name="resource"),
    path("resources/<int:pk>/probes/", resources.probes, name="resource_probes"),
    path("resources/<int:pk>/output/", resources.read_output, name="resource_output"),
    path("resources/<int:pk>/settings/", resource_settings.settings, name="resource_settings"),
    path("resources/<int:pk>/settings/owners/", resource_settings.owners, name="resource_owners"),
    path(
        "resources/<int:pk>/settings/dependencies/",
        resource_settings.dependencies,
        name="resource_dependencies",
    ),
    path("resources/<int:pk>/settings/delete/", resource_settings.delete, name="resource_delete"),
    path("what-if/", what_if.page, name="what_if"),
    path("balance/", balance.page, name="balance"),
    path("schedule/", schedule.page, name="schedule"),
    path("schedule/new/", schedule_form.create, name="schedule_new"),
    path("schedule/preview/", schedule_form.preview, name="schedule_preview"),
    path("schedule/<int:pk>/", schedule.detail, name="schedule_detail"),
    path("schedule/<int:pk>/edit/", schedule_form.edit, name="schedule_edit"),
    *(
        path(f"schedule/<int:pk>/{verb}/", schedule.act, {"verb": verb}, name=f"schedule-{verb}")
        for verb in schedule.ACTS
    ),
    path("schedule/runs/<int:pk>/note/", schedule.note, name="schedule_note"),
    path("history/", history.page, {"tab": "failovers"}, name="history"),
    path("history/events/", history.page, {"tab": "events"}, name="history_events"),
    *(
        path(f"history/{tab}.{kind}", export.file, {"tab": tab, "kind": kind}, name=f"{tab}_{kind}")
        for tab in ("failovers", "events")
        for kind in ("csv", "json")
    ),
    path("history/audit/", audit.page, name="audit"),
    path("history/audit.csv", audit.file, {"kind": "csv"}, name="audit_csv"),
    path("history/audit.json", audit.file, {"kind": "json"}, name="audit_json"),
    path("history/moment/", moment.page, name="moment"),
    path("history/timeline/", timeline.page, name="timeline"),
    path("history/availability/", availability.page, name="availability"),
    path("history/availability.csv", availability.file, {"form": "csv"}, name="availability_csv"),
    path("history/availability.json", availability.file, {"form": "json"}, name="availability_json"),
    path("history/outages/<int:number>/mark/", availability.mark, name="outage_mark"),
    path("history/<int:pk>/", flight.page, name="record"),
    path("history/<int:pk>/notes/new/", notes.add, name="note_add"),
    path("history/notes/<int:pk>/", notes.change, name="note_change"),
    path("history/notes/<int:pk>/delete/", notes.delete, name="note_delete"),
]
