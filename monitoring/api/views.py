"""The views of the REST API: reads, and actions that return 202 with their operation."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib.auth.models import User
from django.urls import reverse

from monitoring.api import reads, schema, what_ifs
from monitoring.api import requests as ask
from monitoring.api.auth import name_of
from monitoring.api.endpoint import ANY, Reply, endpoint
from monitoring.api.problems import ProblemError
from monitoring.models import FailoverRecord, Operation
from monitoring.models.roles import Role, has_role
from monitoring.service import intents, lookup
from monitoring.service.queries import history

RECORD_KINDS = [kind for kind, _ in FailoverRecord.KINDS]


@endpoint("GET", Role.VIEWER, ask.Nothing)
def cluster(user: User, asked: ask.Nothing) -> object:
    return reads.cluster()


@endpoint("GET", Role.VIEWER, ask.Nothing)
def nodes(user: User, asked: ask.Nothing) -> object:
    return {"nodes": reads.node_list()}


@endpoint("GET", Role.VIEWER, ask.Nothing)
def node(user: User, asked: ask.Nothing, node: str) -> object:
    found = lookup.node(node)
    return next(one for one in reads.node_list() if one.id == found.pk)


@endpoint("GET", Role.VIEWER, ask.GroupsQuery)
def groups(user: User, asked: ask.GroupsQuery) -> object:
    return {"groups": reads.group_list(state=asked.state, node=asked.node)}


@endpoint("GET", Role.VIEWER, ask.Nothing)
def group(user: User, asked: ask.Nothing, group: str) -> object:
    return reads.group(group)


@endpoint("GET", Role.VIEWER, ask.ResourcesQuery)
def resources(user: User, asked: ask.ResourcesQuery) -> object:
    return {"resources": reads.resource_list(group=asked.group)}


@endpoint("GET", Role.VIEWER, ask.Nothing)
def resource(user: User, asked: ask.Nothing, resource: str) -> object:
    return reads.resource(resource)


@endpoint("GET", Role.OPERATOR, ask.OutputQuery)
def output(user: User, asked: ask.OutputQuery, resource: str) -> object:
    return reads.output(resource, asked.wait)


@endpoint("GET", Role.VIEWER, ask.WhatIfQuery)
def what_if(user: User, asked: ask.WhatIfQuery) -> object:
    return what_ifs.answer(asked.fail, asked.drain, asked.disk)


@endpoint("GET", Role.VIEWER, ask.Nothing)
def operation(user: User, asked: ask.Nothing, id: int) -> object:
    found = Operation.objects.filter(pk=id).first()
    if found is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no operation {id}.", "id")
    return schema.of_operation(found)


@endpoint("GET", Role.VIEWER, ask.EventsQuery)
def events(user: User, asked: ask.EventsQuery) -> object:
    """Newest first with `before`; or with `since` oldest first: then `next` is the next `since`."""
    wanted = reads.filter_of(
        group=asked.group,
        node=asked.node,
        resource=asked.resource,
        kind=asked.kind,
        text=asked.text,
        kinds=list(history.EVENT_KINDS),
    )
    sees = has_role(user, Role.OPERATOR)
    if asked.since is None:
        page = history.events(wanted, before=asked.before, limit=asked.limit)
        return {"events": [schema.of_event(row, output=sees) for row in page.rows], "next": page.next}
    rows, newest = reads.events_since(wanted, asked.since, asked.limit)
    return {"events": [schema.of_event(row, output=sees) for row in rows], "next": newest}


@endpoint("GET", Role.VIEWER, ask.RecordsQuery)
def records(user: User, asked: ask.RecordsQuery) -> object:
    wanted = reads.filter_of(
        group=asked.group, node=asked.node, kind=asked.kind, text=asked.text, kinds=RECORD_KINDS
    )
    name = lookup.node(asked.node).name if asked.node else ""
    page = history.records(wanted, before=asked.before, limit=asked.limit, node_name=name)
    return {"records": [schema.of_record(row) for row in page.rows], "next": page.next}


@endpoint("POST", Role.OPERATOR, ask.MoveIn)
def move_group(user: User, asked: ask.MoveIn, group: str) -> Reply:
    node = lookup.node(asked.node).pk if asked.node else None
    return _submit("move", user, asked.reason, group=lookup.group(group).pk, node=node)


@endpoint("POST", Role.OPERATOR, ask.ActionIn)
def act_on_cluster(user: User, asked: ask.ActionIn, verb: str) -> Reply:
    return _submit(verb, user, asked.reason)


@endpoint("POST", Role.OPERATOR, ask.ActionIn)
def act_on_group(user: User, asked: ask.ActionIn, group: str, verb: str) -> Reply:
    return _submit(verb, user, asked.reason, group=lookup.group(group).pk)


@endpoint("POST", Role.OPERATOR, ask.ActionIn)
def act_on_resource(user: User, asked: ask.ActionIn, resource: str, verb: str) -> Reply:
    return _submit(f"resource-{verb}", user, asked.reason, resource=lookup.resource(resource).pk)


@endpoint("POST", Role.OPERATOR, ask.ActionIn)
def act_on_node(user: User, asked: ask.ActionIn, node: str, verb: str) -> Reply:
    return _submit(verb, user, asked.reason, node=lookup.node(node).pk)


@endpoint("POST", Role.ADMINISTRATOR, ask.ActionIn)
def rotate_key(user: User, asked: ask.ActionIn, node: str) -> Reply:
    return _submit("rotate-key", user, asked.reason, node=lookup.node(node).pk)


@endpoint("POST", Role.ADMINISTRATOR, ask.ActionIn)
def evict_node(user: User, asked: ask.ActionIn, node: str) -> Reply:
    return _submit("evict", user, asked.reason, node=lookup.node(node).pk)


@endpoint("POST", Role.OPERATOR, ask.ResumeIn)
def resume_node(user: User, asked: ask.ResumeIn, node: str) -> Reply:
    return _submit("resume", user, asked.reason, node=lookup.node(node).pk, failback=asked.failback)


def _submit(kind: str, user: User, reason: str, **subject: Any) -> Reply:
    accepted = intents.submit(kind, by=name_of(user), reason=reason, **subject)
    body = {"operation": schema.of_operation(accepted.operation), "notice": accepted.notice}
    place = reverse("api:operation", kwargs={"id": accepted.operation.pk})
    return Reply(body, HTTPStatus.ACCEPTED, {"Location": place})


@endpoint(ANY, Role.VIEWER, ask.Anything)
def unknown(user: User, asked: ask.Anything, path: str) -> object:
    raise ProblemError(HTTPStatus.NOT_FOUND, f"There is nothing at {path}.")
