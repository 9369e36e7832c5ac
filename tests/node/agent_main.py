"""An agent that knows the test types beside the installed ones."""

from __future__ import annotations

from monitoring.node.__main__ import main
from monitoring.resource_dlls import registry
from tests.node.dlls import TYPES

if __name__ == "__main__":
    raise SystemExit(main({**registry.all_types(), **TYPES}))
