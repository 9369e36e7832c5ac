"""Loading large libraries when they are first needed, while nobody waits.

Every agent has every type; what only one of them needs shall cost the others no memory.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from types import ModuleType


async def load(name: str) -> ModuleType:
    """The module of that name; on the first call it is imported beside the monitor's loop."""
    loaded = sys.modules.get(name)
    if loaded is None or getattr(loaded.__spec__, "_initializing", False):
        loaded = await asyncio.to_thread(importlib.import_module, name)
    return loaded
