"""The commands that make, change and delete groups and resources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandParser

from monitoring.api import previews, reads
from monitoring.management.options import pair, properties, settable
from monitoring.service import intents
from monitoring.service.group_templates import all_templates
from monitoring.service.topology import named

Show = Callable[[object, Callable[[], str]], None]
WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def add_commands(add: Callable[..., CommandParser], shown: CommandParser) -> None:
    """Add the commands to the parser of `manage.py cluster`."""
    editing = CommandParser(add_help=False, parents=[shown])
    editing.add_argument("--reason", default="", help="why, for the history")
    making = CommandParser(add_help=False, parents=[editing])
    making.add_argument(
        "--setting",
        action="append",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="such as FailoverThreshold=3, RestartThreshold=5, Description=...",
    )
    for verb in ("add", "change"):
        group = add(f"{verb}-group", f"{verb.capitalize()} a group", making, "group")
        group.add_argument("--prefer", nargs="*", metavar="NODE", help="preferred owners, best first")
        if verb == "add":
            _templated(group)
        resource = add(f"{verb}-resource", f"{verb.capitalize()} a resource", making, "resource")
        _settable(resource)
        if verb == "add":
            resource.add_argument("--group", required=True)
            resource.add_argument("--type", required=True, help='such as "IP Address", ocf:heartbeat:nginx')
        else:
            group.add_argument("--rename", metavar="NAME")
            resource.add_argument("--rename", metavar="NAME")
    gone = add("delete-group", "Delete a group", editing, "group")
    gone.add_argument("--with-resources", action="store_true", help="and all that it holds")
    add("delete-resource", "Delete a resource, and what came with it", editing, "resource")


def _templated(parser: CommandParser) -> None:
    """What a group that is made from a template needs beside its name."""
    parser.add_argument("--template", default="", metavar="NAME", help=f"one of {', '.join(all_templates())}")
    settable(parser)
    parser.add_argument("--owners", nargs="*", metavar="NODE", help="possible owners; none: all nodes")
    parser.add_argument("--online", action="store_true", help="bring it online at once")
    parser.add_argument("--dry-run", action="store_true", help="say what would be made, and make nothing")


def _settable(parser: CommandParser) -> None:
    settable(parser)
    parser.add_argument(
        "--needs",
        action="append",
        nargs="*",
        metavar="RESOURCE",
        help="what it depends on; several after one --needs are alternatives; none: nothing",
    )
    parser.add_argument("--owners", nargs="*", metavar="NODE", help="possible owners; none: all nodes")


def run(options: dict[str, Any], by: str, tell: Show) -> None:
    """One of the commands of this module."""
    verb, _, what = options["command"].partition("-")
    settings = dict(options.get("setting", ()))
    if options.get("rename"):
        settings["name"] = options["rename"]
    who = {"by": by, "reason": options["reason"]}
    (_group if what == "group" else _resource)(verb, options, settings, who, tell)


def _group(
    verb: str, options: dict[str, Any], settings: dict[str, Any], who: dict[str, str], tell: Show
) -> None:
    name = options["group"]
    if verb == "delete":
        gone = named.delete_group(name, with_resources=options["with_resources"], **who)
        tell({"deleted": gone.name}, lambda: f"{gone} was deleted.")
        return
    if verb == "add":
        _add_group(name, options, settings, who, tell)
        return
    made = named.change_group(name, settings, preferred_owners=options["prefer"], **who)
    tell(reads.group(made.name), lambda: f"{made} was changed.")


def _add_group(
    name: str, options: dict[str, Any], settings: dict[str, Any], who: dict[str, str], tell: Show
) -> None:
    """Make a group, or say what would be made."""
    plan = previews.wanted(
        name,
        options["template"],
        properties(options),
        settings,
        preferred=options["prefer"] or (),
        possible=options["owners"] or (),
    )
    if options["dry_run"]:
        found = previews.rehearsed(plan, who["by"])
        tell(found, lambda: _preview(found))
        return
    made = previews.made(plan, who["by"], who["reason"])
    if options["online"]:
        intents.submit("online", by=who["by"], reason=who["reason"], group=made.pk)
    tell(reads.group(made.name), lambda: f"{made} was added.")


def _preview(found: previews.GroupPreview) -> str:
    """What would be made, line by line."""
    lines = [f"Nothing was changed. {found.name} can be made:"]
    for resource in found.resources:
        needs = f", after {', '.join(resource.needs)}" if resource.needs else ""
        lines.append(f"  {resource.name} ({resource.type}){needs}")
        lines += [
            f"    {name} = {value}" for name, value in resource.properties.items() if value not in ("", None)
        ]
    lines.append(
        f"It would come online on {found.place}: {found.rule}."
        if found.place
        else "It could not come online now."
    )
    lines += [f"Note: {text}" for text in found.warnings]
    return "\n".join(lines)


def _resource(
    verb: str, options: dict[str, Any], settings: dict[str, Any], who: dict[str, str], tell: Show
) -> None:
    name = options["resource"]
    if verb == "delete":
        gone = named.delete_resource(name, **who)
        tell({"deleted": gone.name}, lambda: f"{gone} was deleted.")
        return
    requires = None if options["needs"] is None else [clause for clause in options["needs"] if clause]
    if verb == "add":
        made = named.add_resource(
            name,
            options["group"],
            options["type"],
            settings,
            properties=properties(options),
            requires=requires,
            possible_owners=options["owners"] or (),
            **who,
        )
    else:
        made = named.change_resource(
            name,
            settings,
            properties=properties(options),
            requires=requires,
            possible_owners=options["owners"],
            **who,
        )
    tell(reads.resource(made.name), lambda: f"{made} was {'added' if verb == 'add' else 'changed'}.")


def _setting(text: str) -> tuple[str, str | bool]:
    """NAME=VALUE, yes and no taken for what they say."""
    name, value = pair(text)
    return name, WORDS.get(value.lower(), value)
