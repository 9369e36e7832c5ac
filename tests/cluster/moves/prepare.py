"""The cluster of the play: two nodes, and a virtual server by Postfix, Dovecot and nginx.

    python -m tests.cluster.moves.prepare PLAN

The environment is that of a server; PLAN is a JSON object (see `_plan` in play.py). Prints the password of
the administrator.
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

from monitoring.models import Group, Resource  # noqa: E402
from monitoring.service import demo, setup, topology  # noqa: E402
from tests.cluster.moves.client import PASSWORD, USER  # noqa: E402

BY = "the play"


def main(plan: dict[str, Any]) -> None:
    call_command("migrate", interactive=False, verbosity=0)
    setup.prepare()
    users = setup.empty_cluster()
    nodes = [topology.add_node(name, by=BY) for name in plan["nodes"]]
    topology.edit_cluster({"quarantine_threshold": 0}, by=BY)  # hosts drop out, and are wanted again
    for node in nodes:
        demo.write_key(Path(settings.HOME), node)
    group = topology.create_group({"name": "EVS1"}, by=BY)
    topology.set_preferred_owners(group.pk, [node.pk for node in nodes], by=BY)

    def add(type_name: str, name: str, properties: dict[str, Any], *requires: Resource) -> Resource:
        return topology.create_resource(
            group.pk,
            type_name,
            {"name": f"EVS1 {name}"},
            properties=properties,
            requires=[[each.pk] for each in requires],
            by=BY,
        )

    address = add("IP Address", "IP Address", plan["address"])
    disk = add("Physical Disk", "Disk", plan["disk"])
    name = add("Network Name", "Network Name", {"Name": "EVS1"}, address)
    attendant = {"Servers": "Postfix, Dovecot and nginx", **plan["certificate"]}
    add("Exchange System Attendant", "System Attendant", attendant, name, disk)
    store = Resource.objects.get(type__name="Exchange Information Store (Dovecot)")
    mailboxes = {"Mailboxes": USER, "MailboxPassword": PASSWORD}
    topology.edit_resource(store.pk, {}, properties=mailboxes, by=BY)
    imap = Resource.objects.get(type__name="Exchange IMAP4 Virtual Server (Dovecot)")
    topology.edit_resource(imap.pk, {"separate_monitor": True}, by=BY)
    Group.objects.filter(pk=group.pk).update(owner=nodes[0], persistent_online=True)
    (admin,) = [user.password for user in users if user.name == "admin"]
    sys.stdout.write(json.dumps({"admin": admin}))


main(json.loads(sys.argv[1]))
