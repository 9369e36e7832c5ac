"""Dependencies within a group: their expression, its checks, and how it is written down.

Source: semantics 4.3 (same group only, no circles, depth at most 100, at most one relation
between two resources) and its error for a dependent that is online.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from monitoring.core.state import providers_of
from monitoring.core.states import ResourceState
from monitoring.models import Dependency, Group, Resource
from monitoring.service.topology import rules
from monitoring.service.topology.edits import Edit, edit, refuse
from monitoring.service.topology.find import resource_of

MAX_DEPTH = 100

Clauses = Sequence[Sequence[int]]
Expression = tuple[tuple[int, ...], ...]


def set_dependencies(resource_id: int, requires: Clauses, *, by: str, reason: str = "") -> None:
    """Replace all that a resource depends on by this expression.

    A resource that is online, or on its way, can only lose clauses: with a new one the
    cluster might have to take it down.
    """
    with edit(by, reason) as change:
        resource = resource_of(resource_id)
        replace(change, resource, requires, "requires")


def add_dependency(
    resource_id: int, provider_id: int, *, or_with: int | None = None, by: str, reason: str = ""
) -> None:
    """Let a resource depend on `provider_id`; with `or_with` as an alternative to that provider."""
    with edit(by, reason) as change:
        resource = resource_of(resource_id)
        clauses = clauses_of(resource)
        if any(provider_id in clause for clause in clauses):
            raise refuse("provider", "This dependency exists already.")
        if or_with is None:
            clauses.append([provider_id])
        else:
            joined = [clause for clause in clauses if or_with in clause]
            if not joined:
                raise refuse("or_with", f"{resource} does not depend on this resource.")
            joined[0].append(provider_id)
        replace(change, resource, clauses, "provider")


def remove_dependency(resource_id: int, provider_id: int, *, by: str, reason: str = "") -> None:
    """Let a resource no longer depend on `provider_id`."""
    with edit(by, reason) as change:
        resource = resource_of(resource_id)
        clauses = clauses_of(resource)
        if not any(provider_id in clause for clause in clauses):
            raise refuse("provider", f"{resource} does not depend on this resource.")
        left = [[id for id in clause if id != provider_id] for clause in clauses]
        replace(change, resource, [clause for clause in left if clause], "provider")


def clauses_of(resource: Resource) -> list[list[int]]:
    """The dependency expression of one resource. One query."""
    found: dict[int, list[int]] = defaultdict(list)
    for row in resource.dependencies.order_by("clause", "id"):
        found[row.clause].append(row.provider_id)
    return list(found.values())


def replace(change: Edit, resource: Resource, requires: Clauses, field: str) -> None:
    """Check the new expression, write it, and tell the history."""
    before = clauses_of(resource)
    if _as_sets(requires) == _as_sets(before):
        return
    _refuse_new_clauses_while_up(resource, before, requires, field)
    write(resource, requires, field)
    names = dict(Resource.objects.filter(group=resource.group_id).values_list("pk", "name"))
    change.record(
        f"changed what {resource} depends on from {in_words(before, names)} to {in_words(requires, names)}",
        resource,
    )


def write(resource: Resource, requires: Clauses, field: str = "requires") -> None:
    """Check the expression of `resource` and save it in place of the one it had."""
    members = {r.pk: r for r in Resource.objects.filter(group=resource.group_id).select_related("type")}
    _check_members(resource, requires, members, field)
    expressions: dict[int, Expression] = dict.fromkeys(members, ()) | _expressions(resource.group)
    expressions[resource.pk] = tuple(tuple(clause) for clause in requires)
    _check_tree(expressions, {pk: r.name for pk, r in members.items()}, field)
    rules.check_required_dependencies(resource, providers_of(resource.pk, expressions), members)
    resource.dependencies.all().delete()
    Dependency.objects.bulk_create(
        Dependency(resource=resource, provider_id=id, clause=number)
        for number, clause in enumerate(requires)
        for id in clause
    )


def direct_only(group: Group, providers: Sequence[int]) -> list[list[int]]:
    """A clause for each of these, but for those that another one of them depends on anyway. One query."""
    expressions = defaultdict(tuple, _expressions(group))
    indirect = {id for provider in providers for id in providers_of(provider, expressions)}
    return [[provider] for provider in providers if provider not in indirect]


def in_words(requires: Clauses, names: Mapping[int, str]) -> str:
    """The expression in the field's own form: "([a] or [b]) and ([c])"."""
    clauses = [" or ".join(f"[{names.get(id, id)}]" for id in clause) for clause in requires]
    return " and ".join(f"({clause})" for clause in clauses) or "nothing"


def _as_sets(requires: Clauses) -> set[frozenset[int]]:
    return {frozenset(clause) for clause in requires}


def _refuse_new_clauses_while_up(resource: Resource, before: Clauses, requires: Clauses, field: str) -> None:
    if not ResourceState(resource.state).is_down and _as_sets(requires) - _as_sets(before):
        label = ResourceState(resource.state).label
        raise refuse(field, f"{resource} is {label}. Take it offline before it depends on anything else.")


def _check_members(
    resource: Resource, requires: Clauses, members: Mapping[int, Resource], field: str
) -> None:
    named = [id for clause in requires for id in clause]
    if not all(requires):
        raise refuse(field, "A set of alternatives is empty.")
    if resource.pk in named:
        raise refuse(field, f"{resource} cannot depend on itself.")
    for id in named:
        if id not in members:
            other = resource_of(id, field)
            raise refuse(
                field,
                f"{other} is in the group {other.group}, {resource} in {resource.group}. "
                "Dependencies stay within one group.",
            )
        if named.count(id) > 1:
            raise refuse(field, f"{resource} would depend on {members[id]} twice.")


def _expressions(group: Group) -> dict[int, Expression]:
    """What each resource of the group depends on. One query."""
    found: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in Dependency.objects.filter(resource__group=group).order_by("clause", "id"):
        found[row.resource_id][row.clause].append(row.provider_id)
    return {id: tuple(tuple(clause) for clause in clauses.values()) for id, clauses in found.items()}


def _check_tree(expressions: Mapping[int, Expression], names: Mapping[int, str], field: str) -> None:
    """Refuse a circle, naming its members, and a chain of more than MAX_DEPTH dependencies."""
    providers = {id: {p for clause in clauses for p in clause} for id, clauses in expressions.items()}
    try:
        order = list(TopologicalSorter(providers).static_order())
    except CycleError as error:
        circle = " needs ".join(names[id] for id in reversed(error.args[1]))
        raise refuse(field, f"A circle: {circle}.") from None
    depth: dict[int, int] = {}
    for id in order:
        depth[id] = max((depth[provider] + 1 for provider in providers[id]), default=0)
        if depth[id] > MAX_DEPTH:
            raise refuse(field, f"{names[id]} would stand on a chain of more than {MAX_DEPTH} dependencies.")
