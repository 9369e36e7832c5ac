"""Discovery of resource DLLs: which types there are, and which plugins could not be loaded.

The built-in types are found by walking this package's own folders, one folder a family: a
new family touches no other file. A family may also find types on the machine: its function
`find_types` gives a name, a source and a maker of each (OCF agents). Third parties publish
theirs under the entry point group ``clusterweb.resource_dlls``. Whatever goes wrong in one
plugin costs that plugin only; it is listed by `broken()` with the reason.
"""

from __future__ import annotations

import functools
import importlib
import logging
import pkgutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import MappingProxyType, ModuleType

import monitoring.resource_dlls as package
from monitoring.resource_dlls.api import PROPERTY_KINDS, CompositeDLL, ResourceDLL
from monitoring.resource_dlls.installed import Installed

logger = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "clusterweb.resource_dlls"


class UnknownTypeError(LookupError):
    """No resource DLL on this machine offers the type; the text says what may be the matter."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A plugin that could not be loaded: its name, where it comes from, and why."""

    name: str
    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.source}) could not be loaded: {self.reason}"


LOOK_EVERY = 1.0
"""Seconds between two looks at what is installed."""


class _Looks:
    """When it was last looked whether other distributions are installed, and which were."""

    def __init__(self) -> None:
        self._installed = Installed()
        self._known = self._installed.look()
        self._at = time.monotonic()

    def has_changed(self) -> bool:
        now = time.monotonic()
        if now - self._at < LOOK_EVERY:
            return False
        self._at = now
        before, self._known = self._known, self._installed.look()
        return before != self._known


_looks = _Looks()


def all_types() -> Mapping[str, type[ResourceDLL]]:
    """Every type that can be used here, by its name, in the order of the names.

    A plugin that was installed meanwhile is found within a second. Code that is loaded stays as it
    is: a newer version of a plugin counts from the next start of the process.
    """
    return _found()[0]


def get(type_name: str) -> type[ResourceDLL]:
    """The DLL of a type. UnknownTypeError tells where a broken plugin may be what is missing."""
    try:
        return all_types()[type_name]
    except KeyError:
        pass
    failed = "; ".join(map(str, broken()))
    raise UnknownTypeError(
        f"no resource DLL offers the type {type_name!r}" + (f" ({failed})" if failed else "")
    )


def broken() -> tuple[Broken, ...]:
    """The plugins that were found and could not be loaded."""
    return _found()[1]


def refresh() -> None:
    """Look again at the next question, whether another distribution is installed or not."""
    importlib.invalidate_caches()
    _discover.cache_clear()


def _found() -> tuple[Mapping[str, type[ResourceDLL]], tuple[Broken, ...]]:
    if _looks.has_changed():
        refresh()
    return _discover()


@functools.cache
def _discover() -> tuple[Mapping[str, type[ResourceDLL]], tuple[Broken, ...]]:
    found: dict[str, type[ResourceDLL]] = {}
    failed: list[Broken] = []
    for name, source, load in _candidates():
        try:
            for dll in load():
                check(dll)
                if dll.type_name in found:
                    other = found[dll.type_name]
                    raise TypeError(f"{other.__module__} offers the type {dll.type_name!r} already")
                found[dll.type_name] = dll
        except (Exception, SystemExit) as error:
            failed.append(Broken(name, source, f"{type(error).__name__}: {error}"))
            logger.warning("resource DLL %s (%s) cannot be used: %s", name, source, failed[-1].reason)
    return MappingProxyType(dict(sorted(found.items()))), tuple(failed)


Loader = Callable[[], list[type[ResourceDLL]]]


def _candidates() -> Iterator[tuple[str, str, Loader]]:
    """Name, source and loader of each plugin; the built-ins first, so that theirs is a name in doubt."""
    families = [module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg]
    for family in families:
        yield family, "built in", functools.partial(_load_family, family)
    for family in families:
        yield from _found_by(family)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        source = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        yield point.name, source, functools.partial(_load_entry_point, point)


def _load_family(name: str) -> list[type[ResourceDLL]]:
    family = importlib.import_module(f"{package.__name__}.{name}")
    return _exported(family)


def _found_by(family: str) -> Iterator[tuple[str, str, Loader]]:
    """What a family finds on this machine; it was loaded just before."""
    find_types = getattr(sys.modules.get(f"{package.__name__}.{family}"), "find_types", None)
    try:
        found = list(find_types()) if find_types else []
    except Exception as error:
        yield family, "built in", functools.partial(_failed, error)
        return
    for name, source, make in found:
        yield name, source, functools.partial(_made, make)


def _made(make: Callable[[], type[ResourceDLL]]) -> list[type[ResourceDLL]]:
    return [make()]


def _failed(error: Exception) -> list[type[ResourceDLL]]:
    raise error


def _load_entry_point(point: object) -> list[type[ResourceDLL]]:
    """An entry point names a class, or a module that exports several."""
    loaded = point.load()  # type: ignore[attr-defined]
    if isinstance(loaded, ModuleType):
        return _exported(loaded)
    if not (isinstance(loaded, type) and issubclass(loaded, ResourceDLL)):
        raise TypeError(f"{loaded!r} is neither a ResourceDLL class nor a module of such classes")
    return [loaded]


def _exported(module: ModuleType) -> list[type[ResourceDLL]]:
    """The types that a module exports by its ``__all__``."""
    exports = [getattr(module, name) for name in getattr(module, "__all__", ())]
    dlls = [item for item in exports if isinstance(item, type) and issubclass(item, ResourceDLL)]
    if not dlls and not hasattr(module, "find_types"):
        raise TypeError(f"{module.__name__} exports no ResourceDLL class in __all__")
    return dlls


def _defined_by(dll: type[ResourceDLL]) -> set[str]:
    """Names that a class or a base of its own defines, those of the API's classes aside."""
    own = [base for base in dll.__mro__ if base not in (CompositeDLL, ResourceDLL, object)]
    return {name for base in own for name in vars(base)}


def check(dll: type[ResourceDLL]) -> None:
    """Refuse, with a TypeError, a class that would only fail later, at an operator's hand."""
    if not getattr(dll, "type_name", ""):
        raise TypeError(f"{dll.__qualname__} has no type_name")
    for method in ("online", "terminate", "is_alive"):
        if method not in _defined_by(dll):
            raise TypeError(f"{dll.__qualname__} does not define {method}()")
    if issubclass(dll, CompositeDLL) and "blueprints" not in _defined_by(dll):
        raise TypeError(f"{dll.__qualname__} does not define blueprints()")
    names = [prop.name for prop in dll.properties]
    if len(names) != len(set(names)):
        raise TypeError(f"{dll.__qualname__} has two properties of one name")
    for prop in dll.properties:
        if prop.kind not in PROPERTY_KINDS:
            raise TypeError(f"property {prop.name} is of no kind that exists: {prop.kind!r}")
