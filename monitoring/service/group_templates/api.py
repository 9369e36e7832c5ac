"""What a template of a group is: the resources that it is made of, and what is asked of each.

A template is a module of this package with a `TEMPLATE`; adding one touches no other file. The
fields that it asks for are the properties of its resources' types, with their help and their
rules. A default may take a value from another part: "{disk.Path}/share", "{group}"; it is used
where the field is left empty.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

REFERENCE = re.compile(r"\{(?:(?P<part>[a-z]+)\.)?(?P<name>\w+)\}")
GROUP = "group"
"""The reference to the name of the group."""


@dataclass(frozen=True, slots=True)
class Part:
    """One resource of a group that is made from a template.

    `name` stands behind the group's name, and is never translated. Of several `types` one is
    chosen, the first as a rule; a type that ends in ":" stands for all that begin so.
    `needs` are keys of parts that it depends on, where they are there. `of`: not a resource of
    its own, but properties of one that comes with that part; `types` says which.
    """

    key: str
    name: str
    types: tuple[str, ...]
    title: str | StrPromise = ""
    lead: str | StrPromise = ""
    needs: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    """Properties that stand open, beside those that must be filled in."""
    only: tuple[str, ...] = ()
    """The only properties that are asked for, where it is not all."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """Of properties of whichever type is chosen."""
    optional: bool = False
    included: bool = True
    """Whether an optional one is there unless somebody says otherwise."""
    of: str = ""

    @property
    def heading(self) -> str | StrPromise:
        return self.title or self.name


@dataclass(frozen=True, slots=True)
class GroupTemplate:
    """A kind of group that is often made. `place` orders the templates, the smallest first."""

    key: str
    title: str | StrPromise
    sentence: str | StrPromise
    icon: str
    parts: tuple[Part, ...]
    place: int = 100

    def part(self, key: str) -> Part | None:
        return next((part for part in self.parts if part.key == key), None)


EMPTY = GroupTemplate("", "Empty group", "", "box", ())
"""No template: a group that gets its resources later."""
