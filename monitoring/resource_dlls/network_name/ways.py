"""The ways in which a name is made known, one beside the other; each in a module of its own."""

from __future__ import annotations

from typing import Protocol

from monitoring.resource_dlls.network_name.names import NameRecord


class WayError(Exception):
    """The name is not known in this way, or not as it should be; the text is for the operator."""


class Way(Protocol):
    """One way. Besides WayError and NameTakenError, OSError and ValueError may come out of storage.

    Everything is bounded in time, but for what touches storage.
    """

    def publish(self, record: NameRecord) -> None:
        """Make the name known; NameTakenError where a newer owner has it."""

    def adopt(self, record: NameRecord) -> None:
        """The agent has restarted: take over what is known already."""

    def withdraw(self, record: NameRecord) -> bool:
        """Take the name back; False where it was another's meanwhile."""

    def withdraw_soon(self, record: NameRecord) -> None:
        """The same, without keeping anybody waiting for another machine: it may end later, or never."""

    def looks_fine(self, record: NameRecord) -> bool:
        """A cheap look."""

    def check(self, record: NameRecord) -> None:
        """Whoever asks for the name is led to its addresses; else WayError."""
