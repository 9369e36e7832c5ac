"""Messages made from their types: a new type, or a new field, is covered without a line here."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from typing import Any, get_args

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from monitoring.core.messages import Downward, Upward, seal

HUGE = st.one_of(
    st.integers(min_value=2**62 - 2), st.integers(max_value=-1), st.integers(2**31 - 2, 2**31 + 2)
)
HALVES = st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF)
TEXTS = st.text(st.one_of(st.characters(), HALVES, st.sampled_from("\0\n\u202e'\"<")), max_size=30)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 9), HUGE, st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
"""Whatever JSON can carry, and what Python's json takes besides: NaN, halves of characters."""
Hints = Mapping[str, st.SearchStrategy[Any]]
NO_HINTS: Hints = types.MappingProxyType({})


class NoStrategyError(TypeError):
    """A type of a field for which nobody has said how to make values."""


def types_of(union: object) -> tuple[type[msgspec.Struct], ...]:
    """The message types of one direction."""
    return get_args(union)


def message(kind: type[msgspec.Struct], hints: Hints = NO_HINTS) -> st.SearchStrategy[Any]:
    """Messages of a type with all their values allowed; `hints` are likelier values by field name."""
    return _struct(inspect.type_info(kind), hints)


def upward(hints: Hints = NO_HINTS) -> st.SearchStrategy[Any]:
    return st.one_of([message(kind, hints) for kind in types_of(Upward)])


def downward(hints: Hints = NO_HINTS) -> st.SearchStrategy[Any]:
    return st.one_of([message(kind, hints) for kind in types_of(Downward)])


def _struct(info: inspect.Type, hints: Hints) -> st.SearchStrategy[Any]:
    assert isinstance(info, inspect.StructType)
    return st.builds(info.cls, **{field.name: _field(field, hints) for field in info.fields})


def _field(field: inspect.Field, hints: Hints) -> st.SearchStrategy[Any]:
    made = of(field.type, hints)
    return st.one_of(hints[field.name], made) if field.name in hints else made


def _bounds(info: Any, lowest: int, highest: int) -> tuple[int, int]:
    return (lowest if info.ge is None else info.ge, highest if info.le is None else info.le)


def of(info: inspect.Type, hints: Hints = NO_HINTS) -> st.SearchStrategy[Any]:  # noqa: C901
    """Values of a type, as msgspec describes it."""
    match info:
        case inspect.StructType():
            return _struct(info, hints)
        case inspect.IntType():
            low, high = _bounds(info, -(2**63), 2**63 - 1)
            return st.one_of(st.integers(low, min(high, low + 3)), st.integers(low, high), st.just(high))
        case inspect.FloatType():
            low, high = _bounds(info, -(10**12), 10**12)
            return st.floats(low, high)
        case inspect.BoolType():
            return st.booleans()
        case inspect.StrType():
            if info.pattern:
                return st.from_regex(info.pattern)
            letters = st.characters(exclude_categories=["Cs"])
            least = info.min_length or 0
            return st.text(letters, min_size=least, max_size=max(least, min(info.max_length or 20, 20)))
        case inspect.NoneType():
            return st.none()
        case inspect.UnionType():
            return st.one_of([of(member, hints) for member in info.types])
        case inspect.VarTupleType():
            return st.lists(of(info.item_type, hints), max_size=4).map(tuple)
        case inspect.LiteralType():
            return st.sampled_from(info.values)
        case inspect.EnumType():
            return st.sampled_from(list(info.cls))
        case inspect.DictType():
            return st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), _plain(), max_size=3)
        case _:
            raise NoStrategyError(f"{info}: say in tests/fuzz/strategies.py how to make values of it")


def _plain() -> st.SearchStrategy[Any]:
    """Values of a resource's properties."""
    return st.one_of(st.none(), st.booleans(), st.integers(-5, 2**40), st.text("abc/\0", max_size=8))


# What is no message


@st.composite
def damaged(draw: st.DrawFn, node: str, key: str, messages: st.SearchStrategy[Any]) -> object:
    """A sealed message that something was done to, so that it is none any more."""
    sealed = seal(node, draw(messages), key)
    where = draw(st.sampled_from(["node", "down", "body", "mac"]))
    what = draw(st.sampled_from(["replace", "remove", "add", "wrap", "flip", "other key", "no json"]))
    if what == "replace":
        value = draw(ANYTHING.filter(lambda v: v != sealed[where]))
        return {**sealed, where: value}
    if what == "remove":
        return {name: value for name, value in sealed.items() if name != where}
    if what == "add":
        return {**sealed, draw(st.text(min_size=5)): draw(ANYTHING)}
    if what == "wrap":
        return draw(st.sampled_from([[sealed], json.dumps(sealed), {"message": sealed}, [[]], None]))
    if what == "flip":
        return {**sealed, "down": not sealed["down"]}
    if what == "other key":
        return seal(node, draw(messages), key + "x")
    return {**sealed, "body": draw(TEXTS) + sealed["body"][1:]}


@st.composite
def signed_nonsense(draw: st.DrawFn, node: str, key: str, down: bool, messages: Any) -> object:
    """A body that is no message of ours, signed with the right key: a broken or hostile agent's."""
    sealed = seal(node, draw(messages), key)
    body = json.loads(sealed["body"])
    name = draw(st.sampled_from(sorted(body)))
    how = draw(st.sampled_from(["value", "extra", "missing", "deep", "cut", "long"]))
    if how == "value":
        body[name] = draw(st.one_of(HUGE, ANYTHING))
    elif how == "extra":
        body[draw(st.text(min_size=5))] = draw(ANYTHING)
    elif how == "missing":
        del body[name]
    text = json.dumps(body)
    if how == "deep":
        text = "[" * 100_000
    elif how == "cut":
        text = text[: draw(st.integers(0, len(text) - 1))]
    elif how == "long":
        text = '{"type": "log", "text": "' + "x" * 9_000_000 + '"}'
    return sign(node, key, down, text)


def sign(node: str, key: str, down: bool, body: str) -> dict[str, Any]:
    """Any text as a body, signed."""
    from monitoring.core.messages import _mac

    return {"node": node, "down": down, "body": body, "mac": _mac(key, node, down, body)}
