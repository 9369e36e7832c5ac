"""What the REST API and the command line tell of resource types, and of plugins that could not be loaded."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from django.contrib.auth.models import User

from monitoring.api import requests as ask
from monitoring.api.endpoint import endpoint
from monitoring.api.problems import ProblemError
from monitoring.models.roles import Role, has_role
from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import Property, ResourceDLL
from monitoring.service.queries import types


class PropertyOut(msgspec.Struct, frozen=True):
    """A private property, as a resource of the type is given it. `default` null: there is none."""

    name: str
    kind: str
    default: Any
    required: bool
    choices: tuple[str, ...]
    unit: str
    help: str
    secret: bool


class TypeOut(msgspec.Struct, frozen=True):
    """A resource type. `missing_on`: nodes whose agent does not have it. `unusable`: why none can be made."""

    name: str
    family: str
    description: str
    needs: tuple[str, ...]
    notice: str
    unusable: str
    missing_on: tuple[str, ...]


class TypeDetailOut(msgspec.Struct, frozen=True):
    """A resource type with what can be set of a resource of it."""

    type: TypeOut
    properties: tuple[PropertyOut, ...]


class BrokenOut(msgspec.Struct, frozen=True):
    """A plugin that could not be loaded: what is wrong, and where that is so."""

    text: str
    where: tuple[str, ...]


class TypesOut(msgspec.Struct, frozen=True):
    """All resource types, and the plugins that could not be loaded, which administrators are told of."""

    types: tuple[TypeOut, ...]
    broken: tuple[BrokenOut, ...]


def listed(*, broken: bool) -> TypesOut:
    """The types that are installed here. One query."""
    spread = types.spread()
    return TypesOut(
        tuple(_type_out(dll, spread) for dll in registry.all_types().values()),
        tuple(BrokenOut(plugin.text, plugin.where) for plugin in spread.broken) if broken else (),
    )


def _type_out(dll: type[ResourceDLL], spread: types.Spread) -> TypeOut:
    return TypeOut(
        dll.type_name,
        dll.family,
        dll.description,
        dll.required_dependencies,
        dll.notice,
        dll.unusable,
        spread.missing_on(dll.type_name),
    )


def _property_out(prop: Property) -> PropertyOut:
    return PropertyOut(
        prop.name, prop.kind, prop.default, prop.required, prop.choices, prop.unit, prop.help, prop.secret
    )


@endpoint("GET", Role.VIEWER, ask.Nothing)
def all_types(user: User, asked: ask.Nothing) -> object:
    return listed(broken=has_role(user, Role.ADMINISTRATOR))


@endpoint("GET", Role.VIEWER, ask.Nothing)
def one_type(user: User, asked: ask.Nothing, type: str) -> object:
    dll = registry.all_types().get(type)
    if dll is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no resource type {type!r} here.", "type")
    return TypeDetailOut(_type_out(dll, types.spread()), tuple(map(_property_out, dll.properties)))
