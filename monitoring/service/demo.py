"""The demo cluster: two nodes and two Exchange Virtual Servers, active/active.

Everything is real: the disks are folders on shared storage, the addresses are loopback
addresses derived from the dashboard's port, so that two copies run side by side.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from monitoring.models import Group, Node, Resource
from monitoring.service import setup, topology
from monitoring.service.lock import cluster_lock
from monitoring.service.setup import FirstUser

BY = "setup"
SERVERS = (("EVS1", "NODE1", 11), ("EVS2", "NODE2", 12))
"""Virtual server, the node that it prefers, last byte of its address."""
FAILOVERS = 10
"""A demo is there to be broken: the default of one failover in 6 h would soon be used up."""
DEPARTURES = 10
"""For the same reason: three lost agents within an hour would put their node in quarantine."""
IS_ALIVE_MS = 10_000
"""A demo shows a lost address or disk sooner than the default of a minute would."""


@dataclass(frozen=True, slots=True)
class Demo:
    """What a set-up did: `created` is False where there was a cluster already."""

    created: bool
    users: tuple[FirstUser, ...]
    mailboxes: tuple[FirstUser, ...] = ()
    """The mail users of each virtual server; their password can be set on its Information Store."""


def set_up(home: Path, shared: Path, port: int) -> Demo:
    """Create the demo, all or nothing; a cluster that has nodes is left as it is.

    The disks of the virtual servers are folders in `shared`, which all nodes must see. The
    keys of the nodes of this machine, those with a folder in `home`/nodes, are written each time.
    """
    setup.prepare()
    hashed = setup.hash_passwords()
    mailboxes: tuple[FirstUser, ...] = ()
    with cluster_lock():
        created = not Node.objects.exists()
        if created:
            mailboxes = _create_cluster(shared, port)
        users = setup.first_users(hashed)
    for node in Node.objects.all():
        if created or (home / "nodes" / node.name).is_dir():
            write_key(home, node)
    return Demo(created, users, mailboxes)


def address_of(port: int, last: int) -> str:
    """A loopback address of this copy's own: 127.<port, high byte>.<port, low byte>.<last>."""
    return f"127.{port >> 8}.{port & 255}.{last}"


def write_key(home: Path, node: Node) -> None:
    """Put a node's key where its agent reads it; readable for this user only."""
    folder = home / "nodes" / node.name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / "key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(node.key)


def _create_cluster(shared: Path, port: int) -> tuple[FirstUser, ...]:
    """Nodes and virtual servers; return who may read mail on each."""
    topology.edit_cluster({"quarantine_threshold": DEPARTURES}, by=BY)
    names = {node: topology.add_node(node, by=BY) for _, node, _ in SERVERS}
    for server, preferred, last in SERVERS:
        _create_server(server, names[preferred], address_of(port, last), shared / server)
    stores = Resource.objects.filter(type__name="Exchange Information Store").order_by("pk")
    return tuple(
        FirstUser(store.properties["Mailboxes"], f"mail {store.group}", store.properties["MailboxPassword"])
        for store in stores
    )


def _create_server(name: str, preferred: Node, address: str, disk: Path) -> None:
    """One virtual server with all that it needs, to be online on the node that it prefers."""
    group = topology.create_group(
        {
            "name": name,
            "description": "Exchange Virtual Server with its own mail store",
            "failover_threshold": FAILOVERS,
        },
        by=BY,
    )
    topology.set_preferred_owners(group.pk, [preferred.pk], by=BY)
    for type_name, what, properties in (
        ("IP Address", "IP Address", {"Address": address, "SubnetMask": "255.0.0.0"}),
        ("Network Name", "Network Name", {"Name": name}),
        ("Physical Disk", "Disk", {"Path": str(disk)}),
    ):
        settings = {"name": f"{name} {what}", "is_alive_ms": IS_ALIVE_MS}
        topology.create_resource(group.pk, type_name, settings, properties=properties, by=BY)
    attendant = {"name": f"{name} System Attendant"}
    topology.create_resource(group.pk, "Exchange System Attendant", attendant, by=BY)
    Group.objects.filter(pk=group.pk).update(owner=preferred, persistent_online=True)
