"""Twisted's reactor, made when it is first used instead of when it is first imported.

Parts of Twisted take the reactor at import. The process that services are forked from must
have none, since its epoll descriptor and its wake-up pipe would be shared by all of them. So
a stand-in takes the reactor's place in this package's processes; behind it, each process
makes a reactor of its own.
"""

from __future__ import annotations

import functools
import importlib
import sys
from typing import Any

import twisted.internet
from zope.interface import providedBy

NAME = "twisted.internet.reactor"


@functools.cache
def _reactor() -> Any:
    return importlib.import_module("twisted.internet.epollreactor").EPollReactor()


class _LateReactor:
    """Passes everything on to the process's reactor, what it provides (zope.interface) included."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_reactor(), name)

    @property
    def __providedBy__(self) -> Any:  # noqa: N802
        return providedBy(_reactor())


if NAME not in sys.modules:
    sys.modules[NAME] = twisted.internet.reactor = _LateReactor()  # type: ignore[assignment]
# Loading the reactor's code makes none, and brings TLS with it: 14 MB that a service would
# otherwise have for itself.
importlib.import_module("twisted.internet.epollreactor")
reactor: Any = sys.modules[NAME]
"""The reactor of this process. Typed loosely: Twisted's own types describe a module of interfaces."""
