"""The cluster that is put to the test: made in an empty database, by the product's own means.

    python -m tests.chaos.prepare PLAN

The environment is that of a server; PLAN is a JSON object (see `plan` in night.py). Prints one JSON
object: the operators' passwords and those of the mailboxes.
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

from monitoring.models import Group, Node, Resource  # noqa: E402
from monitoring.service import demo, setup, topology  # noqa: E402

BY = "chaos"
MANY = 100_000
"""A threshold that a night of faults does not reach."""
BOUNDED = {"restart_threshold": 3, "restart_period_ms": 10_000, "retry_period_ms": 10_000}
"""Restarts of a resource before its group fails over."""
IS_ALIVE_MS = 5000


def main(plan: dict[str, Any]) -> None:
    call_command("migrate", interactive=False, verbosity=0)
    setup.prepare()
    users = setup.empty_cluster()
    nodes = [topology.add_node(name, by=BY) for name in plan["nodes"]]
    # Nodes that drop out again and again are what this is about.
    topology.edit_cluster({"quarantine_threshold": 0}, by=BY)
    for node in nodes:
        demo.write_key(Path(settings.HOME), node)
    for number, group in enumerate(plan["groups"]):
        _group(plan, group, nodes[number % len(nodes)])
    stores = Resource.objects.filter(type__name="Exchange Information Store").select_related("group")
    made = {
        "users": {user.name: user.password for user in users},
        "mailboxes": {store.group.name: store.properties["MailboxPassword"] for store in stores},
    }
    sys.stdout.write(json.dumps(made))


def _group(plan: dict[str, Any], group: dict[str, str], preferred: Node) -> None:
    """An application that journals, alone or with an address and a disk, or beside a virtual server."""
    name = group["name"]
    made = topology.create_group({"name": name, "failover_threshold": MANY}, by=BY)
    topology.set_preferred_owners(made.pk, [preferred.pk], by=BY)

    def add(type_name: str, what: str, properties: dict[str, Any], *requires: Resource) -> Resource:
        values = {"name": f"{name} {what}", "is_alive_ms": IS_ALIVE_MS, **BOUNDED}
        return topology.create_resource(
            made.pk,
            type_name,
            values,
            properties=properties,
            requires=[[each.pk] for each in requires],
            by=BY,
        )

    needs: list[Resource] = []
    if "address" in group:
        mask = {"SubnetMask": plan["mask"], "Network": plan["interface"]}
        address = add("IP Address", "IP Address", {"Address": group["address"], **mask})
        disk = add("Physical Disk", "Disk", {"Path": str(Path(plan["shared"]) / name)})
        needs = [address, disk]
        if group["kind"] == "exchange":
            add("Network Name", "Network Name", {"Name": name}, address)
            topology.create_resource(
                made.pk, "Exchange System Attendant", {"name": f"{name} System Attendant"}, by=BY
            )
    where = {"CommandLine": plan["beat"], "CurrentDirectory": plan["shared"]}
    add("Generic Application", "Beat", where, *needs)
    Group.objects.filter(pk=made.pk).update(owner=preferred, persistent_online=True)


main(json.loads(sys.argv[1]))
