"""Operators: what they click and edit, on dashboards that may die over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from monitoring.core.model import Refused
from monitoring.models import Cluster, Group, Node, Operation
from monitoring.service import intents, topology
from monitoring.service.lock import Held, cluster_lock
from tests.simulation.law import Violation

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.world import World

TERMS = ((500, 3000, 500), (500, 2000, 300), (1000, 4000, 500), (300, 1500, 400))
"""Heartbeat interval, lease and margin in milliseconds."""
WHO = "alice"


class Operators:
    """Their word is the world's; what they were told is kept, to see that it came true."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._committed: Held | None = None
        self.has_maintained = False
        """Something was in maintenance this night."""
        self.accepted: dict[int, str] = {}
        """Operations that an operator saw accepted."""

    def committed(self, held: Held) -> None:
        """A transaction was committed."""
        self._committed = held

    def click_at(self, kind: str, group: int, node: int, place: int) -> None:
        """A click on things that are named by their place."""
        gid, machine = self._world.group_at(group), self._world.machine_at(node)
        row = Node.objects.filter(name=machine.name).first()
        if kind == "add-node":
            if row is None:
                self.add_node(machine.name)
        elif kind.startswith("edit-"):
            self._edit(kind, gid, place)
        elif kind in intents.CLUSTER_KINDS and place == 0:
            self.click(kind)
        elif kind == "confirm-off":
            if row is not None:
                self._confirm_off(machine, row.pk)
        elif kind in intents.NODE_KINDS:
            if row is not None:
                self.click(kind, node=row.pk)
        elif kind in intents.RESOURCE_KINDS:
            self.click(kind, resource=self._world.resource_at(gid, place))
        else:
            to = row.pk if row is not None and kind == "move" and place else None
            self.click(kind, group=gid, node=to)

    def click(self, kind: str, **target: Any) -> None:
        """An operator's intent; a refusal changes nothing."""
        members = self._world.members
        rid = target.get("resource", 0)
        gid = next((g for g, rids in members.items() if rid in rids), target.get("group", 0))
        found: list[int] = []
        self.has_maintained = self.has_maintained or kind == "maintenance"

        def call() -> None:
            before, held = self._world.word, None
            try:
                with cluster_lock() as held:
                    self._world.word = before = self._world.word
                    self._world.word = before.after(kind, gid, rid)
                    found.append(intents.submit(kind, by=WHO, **target).operation.pk)
            except BaseException:
                if held is None or self._committed is not held:
                    self._world.word = before
                raise

        def done(error: BaseException | None) -> None:
            if error is None:
                self.accepted[found[-1]] = f"{kind} {target}"
            self._note(f"{kind} {target}", error)

        self._world.servers.request(call, done)

    def _note(self, what: str, error: BaseException | None) -> None:
        if error is None:
            self._world.note(f"accepted: {what}")
        elif isinstance(error, Refused):
            self._world.note(f"refused: {what}: {error.message}")
        else:
            self._world.note(f"not accepted: {what}: {type(error).__name__} {error}")

    def _confirm_off(self, machine: Machine, node: int) -> None:
        """She goes and looks, turns the machine off where it is on, and then says so."""
        if self._world.fencing.has_devices and Node.objects.filter(pk=node, unfenced=True).exists():
            machine.power_off(8.0)
            self.click("confirm-off", node=node, reason="the plug is out", confirm=machine.name)

    # Edits

    def _edit(self, kind: str, group: int, place: int) -> None:
        rng = self._world.rng
        if kind == "edit-cluster":
            interval, lease, margin = TERMS[place % len(TERMS)]
            values: dict[str, Any] = {
                "heartbeat_interval_ms": interval,
                "lease_ms": lease,
                "margin_ms": margin,
            }
            self._change(f"{kind} {values}", lambda: topology.edit_cluster(values, by=WHO))
        elif kind == "edit-group":
            values = {"failover_threshold": rng.choice((1, 3, 0xFFFFFFFF)), "auto_failback": bool(place % 2)}
            self._change(f"{kind} {group} {values}", lambda: topology.edit_group(group, values, by=WHO))
        elif kind == "edit-owners":
            nodes = list(Node.objects.values_list("pk", flat=True))
            rng.shuffle(nodes)
            some = nodes[: place % (len(nodes) + 1)]
            self._change(f"{kind} {group} {some}", lambda: topology.set_preferred_owners(group, some, by=WHO))
        else:
            rid = self._world.resource_at(group, place)
            values = {"is_alive_ms": rng.choice((700, 1500)), "restart_threshold": rng.choice((0, 3))}
            self._change(f"{kind} {rid} {values}", lambda: topology.edit_resource(rid, values, by=WHO))

    def _change(self, what: str, call: Callable[[], object]) -> None:
        self._world.servers.request(lambda: _ignore(call()), lambda error: self._note(what, error))

    def add_node(self, name: str) -> None:
        """A node that was evicted is added again; its agent gets its new key."""

        def done(error: BaseException | None) -> None:
            self._note(f"add-node {name}", error)
            row = Node.objects.filter(name=name).first()
            if row is not None:
                machine = self._world.machines[name]
                machine.key = row.key
                machine.kill()
                machine.start_later(0.5)
                if self._world.fencing.has_devices:
                    self._world.fencing.add(row)

        self._world.servers.request(lambda: _ignore(topology.add_node(name, by=WHO)), done)

    # The end of the night

    def end_exceptions(self) -> None:
        """Maintenance and quarantine end, and all machines are nodes again."""
        if Cluster.objects.get().maintenance:
            self.click("end-maintenance")
        for group in Group.objects.filter(maintenance=True):
            self.click("end-maintenance", group=group.pk)
        for node in Node.objects.filter(quarantined_until__isnull=False):
            self.click("clear-quarantine", node=node.pk)
        known = set(Node.objects.values_list("name", flat=True))
        for name in self._world.machines:
            if name not in known:
                self.add_node(name)

    def check_kept(self) -> None:
        """What an operator saw accepted has ended, one way or the other."""
        rows = dict(Operation.objects.filter(pk__in=self.accepted).values_list("pk", "state"))
        for pk, what in self.accepted.items():
            if rows.get(pk) not in ("done", "failed", "superseded"):
                raise Violation(f"{what} was accepted, and is {rows.get(pk, 'gone')}")


def _ignore(result: object) -> None:
    """Edits give back what they made; nobody here looks at it."""
