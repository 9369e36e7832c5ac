"""What is tested: a resource type with the properties of one resource, and what that depends on."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import PropertyError, Provider, ResourceDLL


class InputError(ValueError):
    """The suite was asked for something that cannot be; the text says what to change."""


@dataclass(frozen=True, slots=True)
class Part:
    """A resource: its type and its properties, validated."""

    dll: type[ResourceDLL]
    properties: Mapping[str, Any]

    def as_provider(self) -> Provider:
        return Provider(self.dll.type_name, self.dll.type_name, dict(self.properties))


@dataclass(frozen=True, slots=True)
class Subject:
    """The resource under test, and those that it depends on, in the order in which they come online."""

    resource: Part
    providers: tuple[Part, ...] = ()

    @property
    def dll(self) -> type[ResourceDLL]:
        return self.resource.dll

    @property
    def parts(self) -> tuple[Part, ...]:
        return (*self.providers, self.resource)

    def words(self) -> list[str]:
        """The values of all properties, as texts: they tell what on the machine is the resource's own."""
        return [
            str(value) for part in self.parts for value in part.properties.values() if value not in (None, "")
        ]

    def as_message(self) -> list[list[Any]]:
        """For another process: where the type is found, and the properties."""
        return [[_place(part.dll), dict(part.properties)] for part in self.parts]

    @classmethod
    def from_message(cls, message: Sequence[Sequence[Any]]) -> Subject:
        parts = [Part(_at(place), properties) for place, properties in message]
        return cls(parts[-1], tuple(parts[:-1]))


def make(
    named: str | type[ResourceDLL],
    properties: Mapping[str, Any] | None = None,
    providers: Sequence[tuple[str | type[ResourceDLL], Mapping[str, Any]]] = (),
) -> Subject:
    """A subject; InputError where a type or a value cannot be used."""
    return Subject(_part(named, properties or {}), tuple(_part(*one) for one in providers))


def _part(named: str | type[ResourceDLL], properties: Mapping[str, Any]) -> Part:
    dll = find(named) if isinstance(named, str) else named
    if dll.unusable:
        raise InputError(f"{dll.type_name} cannot be used: {dll.unusable}")
    try:
        return Part(dll, dll.clean(properties))
    except PropertyError as error:
        raise InputError(f"{dll.type_name}: property {error}") from None
    except Exception as error:
        raise InputError(
            f"{dll.type_name}: check() raised {type(error).__name__}: {error};"
            " it raises nothing but PropertyError, whichever properties are empty"
        ) from None


def find(text: str) -> type[ResourceDLL]:
    """The type of a name, or the class at "module:Class"."""
    module, _, name = text.partition(":")
    if name and not text.startswith("ocf:"):
        return _imported(text, module, name)
    try:
        return registry.get(text)
    except registry.UnknownTypeError as error:
        raise InputError(f"{error}; name a type, or a class as module:Class") from None


def _imported(text: str, module: str, name: str) -> type[ResourceDLL]:
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise InputError(f"{text} cannot be imported: {type(error).__name__}: {error}") from None
    if not (isinstance(found, type) and issubclass(found, ResourceDLL)):
        raise InputError(f"{text} is no class that is derived from ResourceDLL")
    if not getattr(found, "type_name", ""):
        raise InputError(f"{text} has no type_name")
    return found


def _place(dll: type[ResourceDLL]) -> str:
    """By which text another process finds the type again."""
    module = importlib.import_module(dll.__module__)
    is_there = getattr(module, dll.__qualname__, None) is dll
    return f"{dll.__module__}:{dll.__qualname__}" if is_there else dll.type_name


def _at(place: str) -> type[ResourceDLL]:
    module, _, name = place.partition(":")
    if name and not place.startswith("ocf:"):
        found: type[ResourceDLL] = getattr(importlib.import_module(module), name)
        return found
    return registry.get(place)
