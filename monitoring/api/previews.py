"""What the REST API and the command line answer to a new group that is only rehearsed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from django.core.exceptions import ValidationError

from monitoring.models import Group
from monitoring.service import lookup, making, rehearsal
from monitoring.service.group_templates import EMPTY, all_templates
from monitoring.service.topology import named
from monitoring.service.topology.edits import refuse


class ResourcePreview(msgspec.Struct, frozen=True):
    """A resource that would be made. `needs` is an AND, alternatives read "A or B".

    Of a secret it tells only whether it is set.
    """

    name: str
    type: str
    needs: tuple[str, ...]
    properties: dict[str, Any]


class PlacePreview(msgspec.Struct, frozen=True):
    """A node, and why it could not take the group now; "" where it could."""

    node: str
    refusal: str


class GroupPreview(msgspec.Struct, frozen=True):
    """What would be made. `place`: where it would come online now, by `rule`; "" for nowhere."""

    name: str
    template: str
    resources: tuple[ResourcePreview, ...]
    warnings: tuple[str, ...]
    place: str
    rule: str
    nodes: tuple[PlacePreview, ...]


def wanted(
    name: str,
    template: str,
    values: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    preferred: Sequence[str] = (),
    possible: Sequence[str] = (),
) -> making.Plan:
    """A plan by names. ValidationError for a template that there is not, or what it does not ask for."""
    templates = all_templates()
    if template and template not in templates:
        raise refuse("template", f"There is no template {template!r}. There are: {', '.join(templates)}.")
    return making.plan(
        templates.get(template, EMPTY),
        name,
        values,
        settings=named.fields(settings),
        preferred=_nodes(preferred, "preferred_owners"),
        possible=_nodes(possible, "possible_owners"),
    )


def _nodes(names: Sequence[str], field: str) -> list[int]:
    try:
        return [lookup.node(name).pk for name in names]
    except lookup.UnknownNameError as error:
        raise ValidationError({field: str(error)}) from None


@contextmanager
def _by_names() -> Iterator[None]:
    """Refusals by the names of the fields of a request: the group's name is its "name"."""
    try:
        yield
    except ValidationError as error:
        if not hasattr(error, "error_dict"):
            raise
        names = {"group": "name", "owners": "possible_owners"}
        raise ValidationError({names.get(f, f): texts for f, texts in error.message_dict.items()}) from None


def made(plan: making.Plan, by: str, reason: str) -> Group:
    """The group of `plan`, made in earnest."""
    with _by_names():
        return making.make(plan, by=by, reason=reason)


def rehearsed(plan: making.Plan, by: str) -> GroupPreview:
    """What `plan` would make; nothing of it stays."""
    with _by_names():
        found = rehearsal.rehearse(plan, by=by)
    return GroupPreview(
        plan.name,
        plan.template.key,
        tuple(ResourcePreview(r.name, r.type_name, r.needs, r.properties) for r in found.resources),
        found.warnings,
        found.place,
        found.rule,
        tuple(PlacePreview(each.name, each.refusal) for each in found.places),
    )
