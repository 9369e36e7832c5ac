"""Make the cluster of `hosts` in an empty database, by the product's own means.

    python -m tests.cluster.prepare_hosts PLAN

The environment is that of the cluster service; PLAN is a JSON object: `nodes` (names), and `groups`,
each with `name`, `on` (preferred owners) and `resources` (type, name, properties, settings, and the names
of those that it depends on). A group is to be online on the first of its preferred owners.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "clusterweb.settings"
django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402

from monitoring.models import Group, Node  # noqa: E402
from monitoring.service import demo, setup, topology  # noqa: E402

BY = "test"
LEASE_MS = 5000


def main(plan: dict[str, Any]) -> None:
    call_command("migrate", interactive=False, verbosity=0)
    setup.prepare()
    setup.empty_cluster()
    nodes = {name: topology.add_node(name, by=BY) for name in plan["nodes"]}
    # A busy machine may not hear a node for seconds while it starts everything at once.
    topology.edit_cluster({"quarantine_threshold": 0, "lease_ms": LEASE_MS}, by=BY)
    for node in nodes.values():
        demo.write_key(Path(settings.HOME), node)
    for group in plan["groups"]:
        _group(group, [nodes[name] for name in group["on"]])


def _group(group: dict[str, Any], owners: list[Node]) -> None:
    made = topology.create_group({"name": group["name"], "failover_threshold": 100}, by=BY)
    topology.set_preferred_owners(made.pk, [node.pk for node in owners], by=BY)
    known: dict[str, int] = {}
    for each in group["resources"]:
        known[each["name"]] = topology.create_resource(
            made.pk,
            each["type"],
            {"name": f"{group['name']} {each['name']}", **each["settings"]},
            properties=each["properties"],
            requires=[[known[name]] for name in each["requires"]],
            by=BY,
        ).pk
    Group.objects.filter(pk=made.pk).update(owner=owners[0], persistent_online=True)


main(json.loads(sys.argv[1]))
