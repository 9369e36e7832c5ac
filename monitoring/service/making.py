"""A group made from a template, whole or not at all; and the same in rehearsal, which leaves nothing.

The dashboard's wizard, the REST API and the command line come in here. What a template asks for
has keys: "disk" says whether an optional part is there, "server" also of which type a part is,
"disk.Path" is a private property. Refusals carry the same keys, and "group" (its name), "owners".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from monitoring.models import Group, Node, Resource
from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import ResourceDLL
from monitoring.service import topology
from monitoring.service.group_templates import EMPTY, GroupTemplate, Part
from monitoring.service.group_templates.api import GROUP, REFERENCE
from monitoring.service.lock import cluster_lock
from monitoring.service.topology import dependencies
from monitoring.service.topology.edits import refuse

PRIVATE = "properties."
NO = ("no", "false", "off", "0", "none", "")
YES = ("yes", "true", "on", "1")


@dataclass(frozen=True, slots=True)
class PartPlan:
    """A part that is there: of which type it will be, and the properties that were set."""

    part: Part
    type_name: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be made. `preferred`, best first; `possible`: empty for every node."""

    template: GroupTemplate
    name: str
    parts: tuple[PartPlan, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    preferred: tuple[int, ...] = ()
    possible: tuple[int, ...] = ()

    def part(self, key: str) -> PartPlan | None:
        return next((each for each in self.parts if each.part.key == key), None)


def types_of(part: Part) -> list[str]:
    """The installed types that a part may be of, those that can be used, in the order of the template."""
    installed = registry.all_types()
    found = []
    for name in part.types:
        names = [n for n in installed if n.startswith(name)] if name.endswith(":") else [name]
        found += [n for n in names if n in installed and not installed[n].unusable]
    return found


def missing_types(template: GroupTemplate) -> list[str]:
    """What a template cannot do without and this machine does not have."""
    return [
        ", ".join(f"{name}…" if name.endswith(":") else name for name in part.types)
        for part in template.parts
        if not part.optional and not types_of(part)
    ]


def properties_of(part: Part, type_name: str) -> list[Any]:
    """The properties of a type that a part asks for."""
    dll = registry.all_types().get(type_name)
    return [p for p in dll.properties if not part.only or p.name in part.only] if dll else []


def has_choice(part: Part) -> bool:
    """Whether somebody has to say of which type it is."""
    return not part.of and (len(part.types) > 1 or part.types[0].endswith(":"))


def plan(
    template: GroupTemplate,
    name: str,
    values: Mapping[str, Any],
    *,
    settings: Mapping[str, Any] | None = None,
    preferred: Sequence[int] = (),
    possible: Sequence[int] = (),
) -> Plan:
    """A plan of what was said by keys. ValidationError for a key that the template does not have."""
    parts = []
    for part in template.parts:
        type_name = chosen(part, values)
        if type_name:
            parts.append(PartPlan(part, type_name, _given(part, type_name, values)))
    keys = {p.part.key: p for p in parts}
    for key in values:
        head, dot, prop = key.partition(".")
        known = template.part(head) if not dot else head in keys and prop in _names(keys[head])
        if not known:
            raise refuse(key, _unknown(template, head, keys))
    made = [PartPlan(p.part, p.type_name, _filled(p, name, parts)) for p in parts]
    return Plan(template, name, tuple(made), settings or {}, tuple(preferred), tuple(possible))


def chosen(part: Part, values: Mapping[str, Any]) -> str:
    """The type of a part by what was said, "" where it is left out. ValidationError for what cannot be."""
    offered = types_of(part)
    said = values.get(part.key)
    text = str(said).strip() if said is not None else ""
    if said is None:
        wanted = not part.optional or part.included
        if not wanted:
            return ""
        if part.types[0].endswith(":"):
            raise refuse(part.key, f"Say which of the {len(offered)} types that begin with {part.types[0]}.")
    elif text.lower() in NO:
        if not part.optional:
            raise refuse(part.key, f"{part.name} cannot be left out.")
        return ""
    elif text.lower() not in YES:
        named = {name.lower(): name for name in offered}
        if text.lower() not in named:
            raise refuse(part.key, f"{text!r} is none of the types that it can be of: {_some(offered)}.")
        return named[text.lower()]
    if not offered:
        raise refuse(part.key, f"The type {', '.join(part.types)} is not installed here.")
    return offered[0]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _names(planned: PartPlan) -> set[str]:
    return {prop.name for prop in properties_of(planned.part, planned.type_name)}


def _given(part: Part, type_name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    head = f"{part.key}."
    return {key.removeprefix(head): value for key, value in values.items() if key.startswith(head)}


def _unknown(template: GroupTemplate, head: str, parts: Mapping[str, PartPlan]) -> str:
    if head in parts:
        return (
            f"{parts[head].type_name} has no such property. It has: {', '.join(sorted(_names(parts[head])))}."
        )
    if template.part(head):
        return f"{head} is left out of this group."
    return (
        f"The template {template.key} has no such part. It has: {', '.join(p.key for p in template.parts)}."
    )


def _filled(planned: PartPlan, group: str, parts: Sequence[PartPlan]) -> dict[str, Any]:
    """The properties with the template's defaults in place of those that are empty."""
    values = dict(planned.properties)
    names = _names(planned)
    for prop, text in planned.part.defaults.items():
        if prop in names and values.get(prop) in (None, ""):
            filled = _resolve(text, group, parts)
            if filled is not None:
                values[prop] = filled
    return values


def _resolve(text: str, group: str, parts: Sequence[PartPlan]) -> str | None:
    """A default with its references replaced; None where something that it refers to is not there."""
    known: dict[str, Any] = {GROUP: group}
    for each in parts:
        known |= {f"{each.part.key}.{name}": value for name, value in each.properties.items()}
    found = [known.get(match.group().strip("{}")) for match in REFERENCE.finditer(text)]
    if any(value in (None, "") for value in found):
        return None
    return REFERENCE.sub(lambda match: str(known[match.group().strip("{}")]), text)


def make(wanted: Plan, *, by: str, reason: str = "") -> Group:
    """Make the group with all that belongs to it; it is offline. One transaction."""
    registry.all_types()
    with cluster_lock():
        with _named({"name": "group"}):
            group = topology.create_group({**wanted.settings, "name": wanted.name}, by=by, reason=reason)
        with _named({}, "owners"):
            topology.set_preferred_owners(group.pk, wanted.preferred, by=by, reason=reason)
        made: dict[str, int] = {}
        for each in wanted.parts:
            with _named({}, each.part.key):
                if each.part.of:
                    _set_of_another(group, each, made, by, reason)
                else:
                    made[each.part.key] = _create(group, each, made, wanted.possible, by, reason)
    return group


def _create(
    group: Group, each: PartPlan, made: Mapping[str, int], possible: Sequence[int], by: str, reason: str
) -> int:
    needs = [made[key] for key in each.part.needs if key in made]
    resource = topology.create_resource(
        group.pk,
        each.type_name,
        {"name": f"{group.name} {each.part.name}"},
        properties=each.properties,
        requires=dependencies.direct_only(group, needs),
        possible_owners=possible,
        by=by,
        reason=reason,
    )
    return resource.pk


def _set_of_another(group: Group, each: PartPlan, made: Mapping[str, int], by: str, reason: str) -> None:
    """Set properties of a resource that another one brought with it, those that were filled in."""
    given = {name: value for name, value in each.properties.items() if value not in (None, "")}
    owner = made.get(each.part.of)
    if given and owner is not None:
        resource = group.resources.get(created_by=owner, type__name__in=each.part.types)
        topology.edit_resource(resource.pk, {}, properties=given, by=by, reason=reason)


@contextmanager
def _named(names: Mapping[str, str], part: str = "") -> Iterator[None]:
    """Refusals by the keys of the plan: "properties.Address" of the address is "ip.Address"."""
    try:
        yield
    except ValidationError as error:
        if not hasattr(error, "error_dict"):
            raise
        renamed: dict[str, list[str]] = {}
        for name, messages in error.message_dict.items():
            own = names.get(name, name if not part else NON_FIELD_ERRORS)
            if name == "possible_owners":
                own = "owners"
            elif part and name.startswith(PRIVATE):
                own = f"{part}.{name.removeprefix(PRIVATE)}"
            elif part and name == "type":
                own = part
            elif part and name == "name":
                own = "group"  # the names of resources begin with the group's
            renamed.setdefault(own, []).extend(messages)
        raise ValidationError(renamed) from None


def owner_first(owner: int | None) -> list[int]:
    """Preferred owners where one is named: it, then all others in their order. One query."""
    if owner is None:
        return []
    others = Node.objects.exclude(pk=owner).order_by("id").values_list("pk", flat=True)
    return [owner, *others]


def dll_of(resource: Resource) -> type[ResourceDLL] | None:
    return registry.all_types().get(resource.type.name)


__all__ = ["EMPTY", "PartPlan", "Plan", "make", "owner_first", "plan"]
