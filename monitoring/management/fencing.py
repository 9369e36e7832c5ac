"""The commands about fencing: devices, levels, tests, and what an operator has seen."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from django.core.management.base import CommandParser
from django.core.management.color import Style

from monitoring.api import fencing_schema as api
from monitoring.fencing import fence_agent
from monitoring.fencing.api import FenceError
from monitoring.management.options import properties, settable
from monitoring.management.tables import clock_time, table
from monitoring.models import Node, Operation
from monitoring.service import lookup, topology
from monitoring.service.fencing import devices

Show = Callable[[object, Callable[[], str]], None]


def add_commands(add: Callable[..., CommandParser], shown: CommandParser, acting: CommandParser) -> None:
    """Add the commands to the parser of `manage.py cluster`."""
    add("fence", "Turn a node off by its fence devices, now", acting, "node")
    seen = add("confirm-off", "Say that you have seen that a node is off: its groups start", acting, "node")
    seen.add_argument("--confirm", default="", metavar="NODE", help="the name of the node once more")
    add("fencing", "Show the fence devices and the levels of each node, or of one", shown, "[node]")
    test = add("fence-test", "Test a fence device; nothing is turned off", acting, "device")
    test.add_argument("--node", default="", help="and ask whether this node has power")
    add("fence-agents", "List the fence agents, or what can be set of one", shown, "[agent]")
    _device_command(add, shown)
    _level_command(add, shown)


def _device_command(add: Callable[..., CommandParser], shown: CommandParser) -> None:
    device = add("fence-device", "Add, change or delete a fence device", shown)
    device.add_argument("verb", choices=("add", "change", "delete"))
    device.add_argument("name")
    device.add_argument("--agent", default="", help="fence agent, such as fence_ipmilan")
    device.add_argument("--method", default="", help="another method, such as Watchdog")
    device.add_argument("--description")
    device.add_argument("--rename", metavar="NAME")
    _settable(device)


def _level_command(add: Callable[..., CommandParser], shown: CommandParser) -> None:
    level = add("fence-level", "Add, change or remove a device in the levels of a node", shown)
    level.add_argument("verb", choices=("add", "change", "remove"))
    level.add_argument("node")
    level.add_argument("device")
    level.add_argument("--level", type=int, default=1, help="1 to 9; 1 is tried first (default 1)")
    level.add_argument("--to-level", type=int, help="put it into another level")
    level.add_argument("--delay", type=_seconds, metavar="S", help="seconds before the first try")
    level.add_argument("--timeout", type=_seconds, metavar="S", help="seconds that one try may take")
    level.add_argument("--retries", type=int, metavar="N", help="tries after the first")
    _settable(level)


def _settable(parser: CommandParser) -> None:
    parser.add_argument("--reason", default="", help="why, for the history")
    settable(parser)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return value


def request_test(options: dict[str, Any], by: str) -> Operation:
    """Ask the cluster service for a test."""
    node = lookup.node(options["node"]).pk if options["node"] else None
    device = lookup.fence_device(options["device"]).pk
    return devices.request_test(device, node=node, by=by, reason=options["reason"])


def show(options: dict[str, Any], tell: Show, style: Style) -> None:
    """`fencing [NODE]`."""
    rows = Node.objects.order_by("pk")
    if options["node"]:
        rows = rows.filter(pk=lookup.node(options["node"]).pk)
    nodes = [api.node_out(node) for node in rows]
    found = {"devices": api.device_list(), "nodes": nodes}
    tell(found, lambda: f"{_device_table(found['devices'], style)}\n\n{_level_table(nodes, style)}")  # type: ignore[arg-type]


def agents(options: dict[str, Any], tell: Show, style: Style) -> None:
    """`fence-agents [AGENT]`."""
    if not options["agent"]:
        names = fence_agent.installed()
        tell({"agents": names}, lambda: "\n".join(names) or "No fence agent is installed (fence-agents).")
        return
    try:
        about = api.agent_out(options["agent"])
    except FenceError:
        raise lookup.UnknownNameError("agent", options["agent"], []) from None
    rows = [
        [
            prop.name,
            "required" if prop.required else "secret" if prop.secret else "",
            "" if prop.default is None else str(prop.default),
            prop.help,
        ]
        for prop in about.properties
    ]
    heads = ["PROPERTY", "", "DEFAULT", "WHAT IT IS"]
    tell(about, lambda: f"{about.name}: {about.title}\n\n{table(heads, rows, style)}")


def device(options: dict[str, Any], by: str, tell: Show) -> None:
    """`fence-device add|change|delete NAME`."""
    verb, name, given = options["verb"], options["name"], properties(options)
    who = {"by": by, "reason": options["reason"]}
    if verb == "add":
        method = options["method"] or fence_agent.FenceAgent.method_name
        values = {"name": name, "description": options["description"] or ""}
        made = topology.create_fence_device(
            values, method=method, kind=options["agent"], properties=given, **who
        )
        tell(api.device_out(made), lambda: f"{made} was added.")
        return
    found = lookup.fence_device(name)
    if verb == "delete":
        topology.delete_fence_device(found.pk, **who)
        tell({"deleted": found.name}, lambda: f"{found} was deleted.")
        return
    wanted = {"name": options["rename"], "description": options["description"]}
    values = {key: value for key, value in wanted.items() if value is not None}
    changed = topology.edit_fence_device(found.pk, values, properties=given, **who)
    tell(api.device_out(changed), lambda: f"{changed} was saved.")


def level(options: dict[str, Any], by: str, tell: Show) -> None:
    """`fence-level add|change|remove NODE DEVICE`."""
    node, found = lookup.node(options["node"]), lookup.fence_device(options["device"])
    who = {"by": by, "reason": options["reason"]}
    values: dict[str, Any] = {
        f"{name}_ms": round(options[name] * 1000)
        for name in ("delay", "timeout")
        if options[name] is not None
    }
    if options["retries"] is not None:
        values["retries"] = options["retries"]
    if options["verb"] == "add":
        values["level"] = options["level"]
        topology.add_fence_step(node.pk, found.pk, values, properties=properties(options), **who)
    else:
        step = api.step_of(node, found, options["level"])
        if options["verb"] == "remove":
            topology.remove_fence_step(step.pk, **who)
        else:
            if options["to_level"] is not None:
                values["level"] = options["to_level"]
            topology.edit_fence_step(step.pk, values, properties=properties(options) or None, **who)
    tell(api.node_out(node), lambda: f"The fencing of {node} was saved.")


def _device_table(rows: Sequence[api.DeviceOut], style: Style) -> str:
    lines = [
        [
            row.name,
            row.kind or row.method,
            ", ".join(row.nodes) or "-",
            _tested(row.test),
            row.problem or row.description,
        ]
        for row in rows
    ]
    return table(["DEVICE", "WHAT", "NODES", "LAST TEST", "NOTE"], lines, style)


def _level_table(nodes: Sequence[api.NodeFencingOut], style: Style) -> str:
    lines = []
    for node in nodes:
        if not node.levels:
            lines.append([node.node, "-", "lease only", "", _state(node)])
        for number, step in enumerate(node.levels):
            own = " ".join(f"{name}={value}" for name, value in step.properties.items())
            state = _state(node) if number == 0 else ""
            lines.append([node.node, str(step.level), step.device, own, state])
    return table(["NODE", "LEVEL", "DEVICE", "SET", "NOW"], lines, style)


def _tested(test: api.TestOut) -> str:
    if test.running:
        return "testing"
    if test.at is None:
        return "never"
    return f"{'worked' if test.ok else 'failed'} {clock_time(test.at)}"


def _state(node: api.NodeFencingOut) -> str:
    if node.fence is None or node.fence.finished is not None:
        return ""
    waits = "its groups wait: " if node.waiting else ""
    return f"{waits}{node.fence.error or node.fence.doing or 'being fenced'}"
