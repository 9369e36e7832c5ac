"""Groups and resources in the REST API: added, changed, deleted; each request whole or not at all."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from django.contrib.auth.models import User
from django.urls import reverse

from monitoring.api import previews, reads
from monitoring.api.auth import name_of
from monitoring.api.endpoint import Reply, endpoint
from monitoring.api.requests import ActionIn, Reason
from monitoring.models.roles import Role
from monitoring.service import intents
from monitoring.service.topology import named

Values = dict[str, Any]
Names = Annotated[tuple[str, ...], msgspec.Meta(max_length=1000)]
Clauses = Annotated[tuple[Names, ...], msgspec.Meta(max_length=1000)]


class NewGroupIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group; `settings` as in semantics 3.3, such as {"FailoverThreshold": 3}.

    `template` brings resources with it, `values` are what it asks for: {"ip.Address": "10.0.0.8",
    "disk": false, "server": "Generic Service"}. `dry_run`: only say what would be made.
    """

    name: str = ""
    settings: Values = {}
    preferred_owners: Names = ()
    reason: Reason = ""
    template: str = ""
    values: Values = {}
    possible_owners: Names = ()
    online: bool = False
    dry_run: bool = False


class ChangeGroupIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of a group; what is not named stays."""

    settings: Values = {}
    preferred_owners: Names | None = None
    reason: Reason = ""


class DeleteGroupIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the resources of the group go with it."""

    with_resources: bool = False
    reason: Reason = ""


class NewResourceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A resource. `requires` is an AND of ORs of names; without it: what its type requires."""

    name: str = ""
    group: str = ""
    type: str = ""
    settings: Values = {}
    properties: Values = {}
    requires: Clauses | None = None
    possible_owners: Names = ()
    reason: Reason = ""


class ChangeResourceIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of a resource; what is not named stays. A property that is null or "" goes back
    to its default."""

    settings: Values = {}
    properties: Values | None = None
    requires: Clauses | None = None
    possible_owners: Names | None = None
    reason: Reason = ""


@endpoint("POST", Role.ADMINISTRATOR, NewGroupIn)
def add_group(user: User, asked: NewGroupIn) -> Reply:
    plan = previews.wanted(
        asked.name,
        asked.template,
        asked.values,
        asked.settings,
        preferred=asked.preferred_owners,
        possible=asked.possible_owners,
    )
    if asked.dry_run:
        return Reply(previews.rehearsed(plan, name_of(user)))
    made = previews.made(plan, name_of(user), asked.reason)
    if asked.online:
        intents.submit("online", by=name_of(user), reason=asked.reason, group=made.pk)
    place = reverse("api:group", kwargs={"group": made.pk})
    return Reply(reads.group(made.name), HTTPStatus.CREATED, {"Location": place})


@endpoint("POST", Role.ADMINISTRATOR, ChangeGroupIn)
def change_group(user: User, asked: ChangeGroupIn, group: str) -> object:
    changed = named.change_group(
        group,
        asked.settings,
        preferred_owners=asked.preferred_owners,
        by=name_of(user),
        reason=asked.reason,
    )
    return reads.group(changed.name)


@endpoint("POST", Role.ADMINISTRATOR, DeleteGroupIn)
def delete_group(user: User, asked: DeleteGroupIn, group: str) -> object:
    gone = named.delete_group(
        group, by=name_of(user), reason=asked.reason, with_resources=asked.with_resources
    )
    return {"deleted": gone.name}


@endpoint("POST", Role.ADMINISTRATOR, NewResourceIn)
def add_resource(user: User, asked: NewResourceIn) -> Reply:
    made = named.add_resource(
        asked.name,
        asked.group,
        asked.type,
        asked.settings,
        properties=asked.properties,
        requires=asked.requires,
        possible_owners=asked.possible_owners,
        by=name_of(user),
        reason=asked.reason,
    )
    place = reverse("api:resource", kwargs={"resource": made.pk})
    return Reply(reads.resource(made.name), HTTPStatus.CREATED, {"Location": place})


@endpoint("POST", Role.ADMINISTRATOR, ChangeResourceIn)
def change_resource(user: User, asked: ChangeResourceIn, resource: str) -> object:
    changed = named.change_resource(
        resource,
        asked.settings,
        properties=asked.properties,
        requires=asked.requires,
        possible_owners=asked.possible_owners,
        by=name_of(user),
        reason=asked.reason,
    )
    return reads.resource(changed.name)


@endpoint("POST", Role.ADMINISTRATOR, ActionIn)
def delete_resource(user: User, asked: ActionIn, resource: str) -> object:
    gone = named.delete_resource(resource, by=name_of(user), reason=asked.reason)
    return {"deleted": gone.name}
