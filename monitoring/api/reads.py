"""The read side of the API and the command line: read models turned into what they say."""

from __future__ import annotations

from monitoring.api import schema
from monitoring.core.model import Refused
from monitoring.core.states import GroupState
from monitoring.models import Cluster, Resource
from monitoring.resource_dlls import registry
from monitoring.service import clock, lookup
from monitoring.service import output as outputs
from monitoring.service.queries import groups, history, nodes, resources


def cluster() -> schema.ClusterOut:
    """The cluster's settings. One query."""
    return schema.of_cluster(Cluster.objects.get())


def node_list() -> list[schema.NodeOut]:
    """All nodes in the order they joined. One query."""
    return [schema.of_node(node) for node in nodes.node_list()]


def group_list(*, state: str = "", node: str = "") -> list[schema.GroupOut]:
    """Groups by name; UnknownNameError for a state or a node that does not exist. Five queries at most."""
    found = groups.group_list(
        state=state_named(state) if state else None, node=lookup.node(node).pk if node else None
    )
    return [schema.of_group(group) for group in found]


def group(name: str) -> schema.GroupDetailOut:
    """One group with its resources."""
    found = groups.group_detail(lookup.group(name).pk, clock.now())
    if found is None:
        raise lookup.UnknownNameError("group", name, [])
    return schema.of_group_detail(found)


def resource_list(*, group: str = "") -> list[schema.ResourceOut]:
    """Resources in the order of their creation, of all groups or one. Two queries, three for one."""
    rows = Resource.objects.all()
    if group:
        rows = rows.filter(group=lookup.group(group))
    places = rows.values_list("pk", "group__name", "group__owner__name")
    where = {pk: (group_name, owner) for pk, group_name, owner in places}
    return [schema.of_resource(row, *where[row.id]) for row in resources.resource_rows(rows, clock.now())]


def resource(name: str) -> schema.ResourceDetailOut:
    """One resource with its configuration; secrets are left out."""
    found = resources.resource_detail(lookup.resource(name).pk, clock.now())
    if found is None:
        raise lookup.UnknownNameError("resource", name, [])
    dll = registry.all_types().get(found.row.type_name)
    # Without its DLL nobody knows which properties are secrets: none is shown
    secret = {prop.name for prop in dll.properties if prop.secret} if dll else found.properties
    return schema.of_resource_detail(found, frozenset(secret))


def probe_list(*, group: str = "") -> list[schema.ProbesOut]:
    """Probe times of all resources, or of one group's, the slowest p99 first. Two queries at most."""
    rows = Resource.objects.select_related("type")
    if group:
        rows = rows.filter(group=lookup.group(group))
    found = [
        schema.ProbesOut(row.name, row.type.name, schema.of_probe(stat))
        for row in rows
        for stat in resources.probe_stats(row)
    ]
    return sorted(found, key=lambda probes: -probes.probe.p99_ms)


def output(name: str, seconds: float) -> schema.OutputOut:
    """What the processes of a resource print: read anew where its node answers within `seconds`."""
    resource = lookup.resource(name)
    notice = ""
    try:
        found = outputs.fresh(resource.pk, seconds)
    except Refused as refused:
        notice, found = refused.message, outputs.known(resource.pk)
    return schema.OutputOut(
        resource.name,
        found.node,
        None if found.read_at is None else schema.time(found.read_at),
        None if found.written_at is None else schema.time(found.written_at),
        found.text,
        found.cut,
        notice,
    )


def filter_of(
    *, group: str = "", node: str = "", resource: str = "", kind: str = "", text: str = "", kinds: list[str]
) -> history.Filter:
    """A filter of the history by names; UnknownNameError for one that does not exist."""
    if kind and kind not in kinds:
        raise lookup.UnknownNameError("kind", kind, kinds)
    return history.Filter(
        group=lookup.group(group).pk if group else None,
        node=lookup.node(node).pk if node else None,
        resource=lookup.resource(resource).pk if resource else None,
        kind=kind,
        text=text,
    )


def events_since(wanted: history.Filter, since: int, limit: int) -> tuple[list[history.EventRow], int]:
    """Events after number `since`, oldest first, and the number to ask from the next time. Two queries."""
    newest = Cluster.objects.get().last_event
    if wanted.text:  # bounded, as each page of a search
        newest = min(newest, since + history.SEARCHED)
    rows = history.matching(wanted).filter(seq__gt=since, seq__lte=newest)
    found = [history.event_row(event) for event in rows.order_by("seq")[:limit]]
    return found, found[-1].seq if len(found) == limit else max(newest, since)


def state_named(label: str) -> GroupState:
    """A group state by its label, such as "Partial Online", whatever its case."""
    for state in GroupState:
        if state.label.lower() == label.lower().replace("-", " "):
            return state
    raise lookup.UnknownNameError("state", label, [state.label for state in GroupState])
