"""Values of a CSV file that is safe to open in a spreadsheet."""

from __future__ import annotations

from typing import Any


def harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, made a text again by an apostrophe."""
    if isinstance(value, str) and value.lstrip()[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
