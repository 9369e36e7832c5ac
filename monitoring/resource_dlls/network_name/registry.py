"""The name in a directory of records on shared storage."""

from __future__ import annotations

from monitoring.resource_dlls.network_name.names import NameRecord, NameRegistry
from monitoring.resource_dlls.network_name.ways import WayError


class InRegistry:
    """A way to make a name known (ways.Way)."""

    def __init__(self, folder: str) -> None:
        self._names = NameRegistry(folder)

    def publish(self, record: NameRecord) -> None:
        self._names.register(record)

    def adopt(self, record: NameRecord) -> None:
        """The record needs no agent."""

    def withdraw(self, record: NameRecord) -> bool:
        return self._names.withdraw(record)

    def withdraw_soon(self, record: NameRecord) -> None:
        self.withdraw(record)

    def looks_fine(self, record: NameRecord) -> bool:
        present = self._names.read(record.name)
        return present is not None and present.same_owner(record) and bool(present.addresses)

    def check(self, record: NameRecord) -> None:
        try:
            fine = self.looks_fine(record)
        except (OSError, ValueError) as error:
            raise WayError(f"the record of {record.name} cannot be read: {error}") from error
        if not fine:
            raise WayError(f"{record.name} is no longer registered to {record.node}")
