"""OCF resource agents, such as Debian's resource-agents: each under the OCF root is a type.

The types are named "ocf:PROVIDER:AGENT". How an agent's metadata becomes a type is in `dll`,
how its actions are run in `agent`, which agents there are in `catalogue`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from monitoring.resource_dlls.api import ResourceDLL
from monitoring.resource_dlls.ocf import catalogue
from monitoring.resource_dlls.ocf.dll import make_type

__all__: list[str] = []


def find_types() -> Iterator[tuple[str, str, Callable[[], type[ResourceDLL]]]]:
    """Name, program and maker of the type of each agent."""
    for agent in catalogue.agents():
        yield agent.type_name, agent.path, functools.partial(make_type, agent)
