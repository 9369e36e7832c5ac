"""Which fence methods there are: the built-in ones, and those that packages publish.

Third parties publish theirs under the entry point group ``clusterweb.fence_methods``. Whatever
goes wrong in one plugin costs that plugin only; it is listed by `broken()` with the reason.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType

from monitoring.fencing.api import FenceError, FenceMethod
from monitoring.fencing.fence_agent import FenceAgent
from monitoring.fencing.watchdog import Watchdog

logger = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "clusterweb.fence_methods"


def all_methods() -> Mapping[str, type[FenceMethod]]:
    """Every method that can be used here, by its name, the built-in ones first."""
    return _discover()[0]


def get(name: str) -> type[FenceMethod]:
    """The method of this name. FenceError where there is none on this machine."""
    found = all_methods().get(name)
    if found is None:
        failed = "; ".join(f"{plugin} could not be loaded: {reason}" for plugin, reason in broken().items())
        raise FenceError(f"there is no fence method {name!r} here{f' ({failed})' if failed else ''}")
    return found


def broken() -> Mapping[str, str]:
    """The plugins that were found and could not be loaded, with the reason."""
    return _discover()[1]


def refresh() -> None:
    """Look again at the next question, for instance after a plugin was installed."""
    _discover.cache_clear()


@functools.cache
def _discover() -> tuple[Mapping[str, type[FenceMethod]], Mapping[str, str]]:
    found: dict[str, type[FenceMethod]] = {m.method_name: m for m in (FenceAgent, Watchdog)}
    failed: dict[str, str] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        try:
            method = point.load()
            _check(method)
            if method.method_name in found:
                raise TypeError(f"there is a method {method.method_name!r} already")
            found[method.method_name] = method
        except (Exception, SystemExit) as error:
            failed[point.name] = f"{type(error).__name__}: {error}"
            logger.warning("fence method %s cannot be used: %s", point.name, failed[point.name])
    return MappingProxyType(found), MappingProxyType(failed)


def _check(method: object) -> None:
    """Refuse a class that would only fail later, when a node has to be fenced."""
    if not (isinstance(method, type) and issubclass(method, FenceMethod)):
        raise TypeError(f"{method!r} is no FenceMethod class")
    if not getattr(method, "method_name", ""):
        raise TypeError(f"{method.__qualname__} has no method_name")
    for name in ("off", "status", "monitor"):
        if getattr(method, name) is getattr(FenceMethod, name):
            raise TypeError(f"{method.__qualname__} does not define {name}()")
