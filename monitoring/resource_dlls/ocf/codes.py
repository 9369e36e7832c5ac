"""The exit codes of OCF agents, in words.

Source: the OCF resource agent API 1.1, section "Return codes"; 190 and 191 as Pacemaker reads them.
"""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    SUCCESS = 0
    ERROR = 1
    ARGUMENTS = 2
    UNIMPLEMENTED = 3
    PERMISSION = 4
    NOT_INSTALLED = 5
    NOT_CONFIGURED = 6
    NOT_RUNNING = 7
    PROMOTED = 8
    FAILED_PROMOTED = 9
    DEGRADED = 190
    DEGRADED_PROMOTED = 191


ALIVE = frozenset({Code.SUCCESS, Code.PROMOTED, Code.DEGRADED, Code.DEGRADED_PROMOTED})
"""What a monitor says of something that works."""
DEGRADED = frozenset({Code.DEGRADED, Code.DEGRADED_PROMOTED})
CANNOT_RUN_HERE = frozenset({Code.ARGUMENTS, Code.NOT_INSTALLED, Code.NOT_CONFIGURED})
"""What a monitor says before any start where the agent can do nothing on this node."""

_WORDS = {
    Code.SUCCESS: "it succeeded",
    Code.ERROR: "it failed",
    Code.ARGUMENTS: "a parameter cannot be used",
    Code.UNIMPLEMENTED: "the agent does not offer the action",
    Code.PERMISSION: "it may not do that: permission is missing",
    Code.NOT_INSTALLED: "what it manages is not installed on this node",
    Code.NOT_CONFIGURED: "it is not configured rightly",
    Code.NOT_RUNNING: "it does not run",
    Code.PROMOTED: "it runs promoted",
    Code.FAILED_PROMOTED: "it runs promoted, and has failed",
    Code.DEGRADED: "it runs, and will fail soon",
    Code.DEGRADED_PROMOTED: "it runs promoted, and will fail soon",
}


def in_words(code: int) -> str:
    """What an exit code means: "it does not run (exit code 7)"."""
    if code < 0:
        return f"it was ended by signal {-code}"
    try:
        return f"{_WORDS[Code(code)]} (exit code {code})"
    except ValueError:
        return f"it ended with exit code {code}, which the OCF standard does not know"
