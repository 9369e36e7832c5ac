"""`manage.py cluster`: the operator's command line.

Exit code 0: done; 1: the cluster refused it, it failed, was superseded or took too long;
2: bad input. Actions wait for their outcome unless --no-wait is given.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import msgspec
from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser
from django.db import DatabaseError

from monitoring.api import reads, schema, types
from monitoring.core.model import Refused
from monitoring.management import (
    audit,
    availability,
    balance,
    failovers,
    fencing,
    listings,
    schedules,
    what_if,
)
from monitoring.management import topology as topology_commands
from monitoring.management.audited import AuditedCommand
from monitoring.management.audited import who as _who
from monitoring.management.waiting import wait
from monitoring.models import Cluster, FailoverRecord, Operation
from monitoring.service import intents, lookup, setup, topology
from monitoring.service.queries import history

FAILED, BAD_INPUT = 1, 2
RECORD_KINDS = [kind for kind, _ in FailoverRecord.KINDS]
FAILBACK = ("none", "immediate", "policy")
VERBS = ("online", "offline", "restart", "fail")


class Command(AuditedCommand):
    help = "Look at the cluster and operate it."
    requires_system_checks: list[str] = []  # they load every page, which takes longer than a move

    def add_arguments(self, parser: CommandParser) -> None:
        shown = CommandParser(add_help=False)
        shown.add_argument("--json", action="store_true", help="print JSON")
        acting = CommandParser(add_help=False, parents=[shown])
        acting.add_argument("--reason", default="", help="why, for the history")
        acting.add_argument("--no-wait", action="store_true", help="return once it is accepted")
        acting.add_argument("--timeout", type=_seconds, metavar="S", help="wait at most S seconds")
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

        def add(name: str, what: str, parent: CommandParser, *names: str) -> CommandParser:
            made: CommandParser = commands.add_parser(name, help=what, description=what, parents=[parent])
            for argument in names:
                made.add_argument(argument.strip("[]"), nargs="?" if argument.startswith("[") else None)
            return made

        add("status", "The cluster at a glance", shown)
        add("nodes", "List the nodes", shown)
        groups = add("groups", "List the groups", shown)
        groups.add_argument("--state", default="", help='such as online, "partial online", failed')
        groups.add_argument("--node", default="", help="only groups on this node")
        add("resources", "List the resources", shown).add_argument("--group", default="", help="of one group")
        add("types", "List the resource types, and plugins that could not be loaded", shown)
        probes = add("probes", "Times of LooksAlive and IsAlive, the slowest first", shown)
        probes.add_argument("--group", default="", help="of one group")
        printed = add("output", "What the processes of a resource print", shown, "resource")
        printed.add_argument(
            "--timeout", type=_seconds, default=5.0, metavar="S", help="for its node's answer"
        )
        add("move", "Move a group to a node, the best one where none is named", acting, "group", "[node]")
        add("online", "Bring a group online", acting, "group")
        add("offline", "Take a group offline", acting, "group")
        add("restart", "Take a group offline and bring it online where it is", acting, "group")
        resource = add("resource", "Act on one resource", acting)
        resource.add_argument("verb", choices=VERBS, help="fail simulates a failure")
        resource.add_argument("resource")
        pause = add("pause", "Let a node take no more groups", acting, "node")
        pause.add_argument("--drain", action="store_true", help="and move its groups away")
        resume = add("resume", "Let a paused node take groups again", acting, "node")
        resume.add_argument(
            "--failback",
            nargs="?",
            choices=FAILBACK,
            default="none",
            const="policy",
            help="bring back groups that prefer it: policy (also without a word) asks each group's own",
        )
        maintenance = add("maintenance", "Watch a group, or all, and leave it as it is", acting)
        maintenance.add_argument("switch", choices=("on", "off"))
        maintenance.add_argument("group", nargs="?", help="the whole cluster where none is named")
        add("clear-quarantine", "Let a node that kept dropping out take groups again", acting, "node")
        add("rotate-key", "Give a node a new signing key while all runs on", acting, "node")
        add("evict", "Remove a node from the cluster", acting, "node")
        topology_commands.add_commands(add, shown)
        fencing.add_commands(add, shown, acting)
        availability.add_commands(add, shown)
        failovers.add_commands(add, shown)
        audit.add_command(add, shown)
        what_if.add_command(add, shown)
        schedules.add_command(add, shown)
        balance.add_command(add, shown)
        add("init", "Make a cluster without nodes in an empty database, and its first users", shown)
        add("add-node", "Add a node; prints the key that its agent needs", shown, "name")
        add("node-key", "Print the key that the agent of a node needs", shown, "node")
        self._add_history(add("history", "Failovers and moves, or with --events all that happened", shown))

    def _add_history(self, parser: CommandParser) -> None:
        parser.add_argument("--limit", type=_count, default=20, help="how many lines (default 20)")
        parser.add_argument("--group", default="", help="only of this group")
        parser.add_argument("--node", default="", help="only of this node")
        parser.add_argument("--events", action="store_true", help="every event, not only passages of groups")
        kinds = f"{', '.join(RECORD_KINDS)}; of events: {', '.join(history.EVENT_KINDS)}"
        parser.add_argument("--kind", default="", help=kinds)
        parser.add_argument("--text", default="", help="words that all occur in the text or in a name")

    def handle(self, *args: Any, **options: Any) -> None:
        command = options["command"]
        try:
            if command != "init" and not Cluster.objects.exists():
                self._fail("There is no cluster in this database yet.", FAILED)
            (getattr(self, f"_{command.replace('-', '_')}", None) or self._act)(options)
        except lookup.UnknownNameError as error:
            self._fail(f"{error.field}: {error}", BAD_INPUT)
        except ValidationError as error:
            lines = [f"{field}: {text}" for field, texts in error.message_dict.items() for text in texts]
            self._fail("\n".join(lines), BAD_INPUT)
        except Refused as error:
            self._fail(f"{error.field}: {error.message}", FAILED)
        except DatabaseError as error:
            self._fail(f"The database cannot be used: {error}", FAILED)

    def _fail(self, text: str, code: int) -> NoReturn:
        self.stderr.write(text)
        sys.exit(code)

    # Listings

    def _show(self, options: dict[str, Any], found: object, text: Callable[[], str]) -> None:
        if options["json"]:
            self.stdout.write(msgspec.json.format(msgspec.json.encode(found)).decode())
        else:
            self.stdout.write(text())

    def _status(self, options: dict[str, Any]) -> None:
        cluster, nodes, groups = reads.cluster(), reads.node_list(), reads.group_list()
        found = {"cluster": cluster, "nodes": nodes, "groups": groups}
        self._show(options, found, lambda: listings.status(cluster, nodes, groups, self.style))

    def _nodes(self, options: dict[str, Any]) -> None:
        found = reads.node_list()
        self._show(options, found, lambda: listings.node_table(found, self.style))

    def _groups(self, options: dict[str, Any]) -> None:
        found = reads.group_list(state=options["state"], node=options["node"])
        self._show(options, found, lambda: listings.group_table(found, self.style))

    def _resources(self, options: dict[str, Any]) -> None:
        found = reads.resource_list(group=options["group"])
        self._show(options, found, lambda: listings.resource_table(found, self.style))

    def _types(self, options: dict[str, Any]) -> None:
        found = types.listed(broken=True)
        self._show(options, found, lambda: listings.type_table(found, self.style))

    def _probes(self, options: dict[str, Any]) -> None:
        found = reads.probe_list(group=options["group"])
        self._show(options, found, lambda: listings.probe_table(found, self.style))

    def _output(self, options: dict[str, Any]) -> None:
        """The lines on standard output, what there is to know about them on standard error."""
        found = reads.output(options["resource"], options["timeout"])
        self._show(options, found, lambda: found.text)
        about = listings.about_output(found)
        if not options["json"]:
            self.stderr.write(about, self.style.WARNING if found.notice else self.style.HTTP_INFO)

    def _history(self, options: dict[str, Any]) -> None:
        asked = {name: options[name] for name in ("group", "node", "kind", "text")}
        if options["events"]:
            wanted = reads.filter_of(**asked, kinds=list(history.EVENT_KINDS))
            events = [
                schema.of_event(row, output=True)
                for row in history.events(wanted, limit=options["limit"]).rows
            ]
            self._show(options, events, lambda: listings.event_table(events, self.style))
            return
        wanted = reads.filter_of(**asked, kinds=RECORD_KINDS)
        node = lookup.node(options["node"]).name if options["node"] else ""
        rows = history.records(wanted, limit=options["limit"], node_name=node).rows
        records = [schema.of_record(row) for row in rows]
        self._show(options, records, lambda: listings.record_table(records, self.style))

    # Availability

    def _audit(self, options: dict[str, Any]) -> None:
        audit.show(options, partial(self._show, options), self.style)

    def _availability(self, options: dict[str, Any]) -> None:
        availability.show(options, partial(self._show, options), self.style)

    def _moment(self, options: dict[str, Any]) -> None:
        availability.moment(options, partial(self._show, options), self.style)

    def _timeline(self, options: dict[str, Any]) -> None:
        availability.timeline(options, partial(self._show, options), self.style)

    def _failover(self, options: dict[str, Any]) -> None:
        failovers.show(options, partial(self._show, options), self.style)

    def _note(self, options: dict[str, Any]) -> None:
        failovers.write(options, _who(), partial(self._show, options))

    _change_note = _delete_note = _note

    def _mark_outage(self, options: dict[str, Any]) -> None:
        availability.mark(options, _who(), partial(self._show, options))

    def _what_if(self, options: dict[str, Any]) -> None:
        what_if.run(options, partial(self._show, options), self.style)

    def _schedule(self, options: dict[str, Any]) -> None:
        schedules.run(options, partial(self._show, options), self.style)

    def _balance(self, options: dict[str, Any]) -> None:
        if not balance.run(options, partial(self._show, options), self.style):
            sys.exit(FAILED)

    # Setting up

    def _init(self, options: dict[str, Any]) -> None:
        """A cluster to add nodes to; what is there already stays, and then nothing is told."""
        users = setup.empty_cluster()
        found = [{"name": user.name, "role": user.role, "password": user.password} for user in users]
        lines = [f"{user.role:<14} {user.name:<9} password {user.password}" for user in users]
        self._show(options, found, lambda: "\n".join(lines) or "There is a cluster already.")

    # The keys of nodes, for who sets up their agents

    def _add_node(self, options: dict[str, Any]) -> None:
        node = topology.add_node(options["name"], by=_who())
        self._show(options, {"name": node.name, "key": node.key}, lambda: node.key)

    def _node_key(self, options: dict[str, Any]) -> None:
        node = lookup.node(options["node"])
        self._show(options, {"name": node.name, "key": node.key}, lambda: node.key)

    # Groups and resources

    def _edit(self, options: dict[str, Any]) -> None:
        topology_commands.run(options, _who(), partial(self._show, options))

    _add_group = _change_group = _delete_group = _edit
    _add_resource = _change_resource = _delete_resource = _edit

    # Fencing

    def _fencing(self, options: dict[str, Any]) -> None:
        fencing.show(options, partial(self._show, options), self.style)

    def _fence_agents(self, options: dict[str, Any]) -> None:
        fencing.agents(options, partial(self._show, options), self.style)

    def _fence_device(self, options: dict[str, Any]) -> None:
        fencing.device(options, _who(), partial(self._show, options))

    def _fence_level(self, options: dict[str, Any]) -> None:
        fencing.level(options, _who(), partial(self._show, options))

    def _fence_test(self, options: dict[str, Any]) -> None:
        self._finish(options, fencing.request_test(options, _who()))

    # Actions

    def _act(self, options: dict[str, Any]) -> None:
        """Submit the intent that a command stands for, and wait for its outcome."""
        kind = options["command"]
        if kind == "resource":
            kind = f"resource-{options['verb']}"
        elif kind == "pause" and options["drain"]:
            kind = "drain"
        elif kind == "maintenance" and options["switch"] == "off":
            kind = "end-maintenance"
        accepted = intents.submit(
            kind,
            by=_who(),
            reason=options["reason"],
            group=lookup.group(options["group"]).pk if options.get("group") else None,
            node=lookup.node(options["node"]).pk if options.get("node") else None,
            resource=lookup.resource(options["resource"]).pk if options.get("resource") else None,
            failback=options.get("failback", "none"),
            confirm=options.get("confirm", ""),
        )
        if accepted.notice:
            self.stderr.write(accepted.notice, self.style.WARNING)
        self._finish(options, accepted.operation)

    def _finish(self, options: dict[str, Any], operation: Operation) -> None:
        """Wait for the outcome where that is wanted, and tell it."""
        if not options["no_wait"]:
            operation = wait(operation, options["timeout"], self._tell)
        self._report(options, operation)

    def _tell(self, line: str) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"  {line}", self.style.HTTP_INFO)

    def _report(self, options: dict[str, Any], operation: Operation) -> None:
        running = operation.state == "running"
        text = operation.outcome or f"{operation} is under way (operation {operation.pk})."
        self._show(options, schema.of_operation(operation), lambda: text)
        if operation.state != "done" and not (running and options["no_wait"]):
            sys.exit(FAILED)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 10_000:
        raise argparse.ArgumentTypeError(f"{text} is not within 1 to 10000")
    return value
