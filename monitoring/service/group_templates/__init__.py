"""Templates of groups, one module each: a new one touches no other file (see `api`)."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from monitoring.service.group_templates.api import EMPTY, GroupTemplate, Part

_APART = ("api", "common")


@cache
def all_templates() -> dict[str, GroupTemplate]:
    """Every template by its key, in the order in which they are offered."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if module.name not in _APART]
    found = [importlib.import_module(f"{__name__}.{name}").TEMPLATE for name in names]
    return {template.key: template for template in sorted(found, key=lambda t: (t.place, t.key))}


__all__ = ["EMPTY", "GroupTemplate", "Part", "all_templates"]
