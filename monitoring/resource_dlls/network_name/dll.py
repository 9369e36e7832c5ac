"""The Network Name resource: registers the group's name with its addresses.

Plain methods, on a thread of the resource's own, since the shared storage may hang.

Source: semantics 5.1 and 5.2.
"""

from __future__ import annotations

import os
from typing import ClassVar

from monitoring.resource_dlls.api import Property, ResourceDLL, ResourceError
from monitoring.resource_dlls.network_name.names import NameRecord, NameRegistry, NameTakenError

NAME_IS_A_NODE = 1050
NOT_REGISTERED = 1215
REGISTRY_VARIABLE = "CLUSTERWEB_NAMES"


class NetworkName(ResourceDLL):
    type_name = "Network Name"
    description = "The name by which clients find the group on whichever node it runs."
    family = "Network"
    icon = "tag"
    required_dependencies = ("IP Address",)
    properties: ClassVar[tuple[Property, ...]] = (
        Property(
            "Name",
            kind="netbios",
            required=True,
            unique="cluster",
            help="NetBIOS name, at most 15 characters; never the name of a node",
        ),
        Property(
            "RegistryPath",
            kind="path",
            help=f"shared directory of the name records; where empty, that of {REGISTRY_VARIABLE}",
        ),
    )

    _record: NameRecord | None = None

    def online(self) -> None:
        if self["Name"] == self.context.node.upper():
            raise ResourceError(f"the network name {self['Name']} is the name of this node", NAME_IS_A_NODE)
        record = self._own_record()
        try:
            self._registry().register(record)
        except NameTakenError as error:
            raise ResourceError(str(error), NOT_REGISTERED) from error
        except (OSError, ValueError) as error:
            raise ResourceError(f"{record.name} cannot be registered: {error}", NOT_REGISTERED) from error
        self._record = record

    def adopt(self) -> bool:
        """The record, which needs no agent, is still this owner's."""
        self._record = self._own_record()
        return self.is_alive()

    def _own_record(self) -> NameRecord:
        return NameRecord(
            self["Name"],
            self._addresses(),
            self.context.group_id,
            self.context.group,
            self.context.node,
            self.context.epoch,
        )

    def _addresses(self) -> tuple[str, ...]:
        """The addresses of all IP Address providers on which NetBIOS names may be used."""
        found = tuple(
            provider.properties["Address"]
            for provider in self.context.providers
            if provider.type_name == "IP Address" and provider.properties.get("EnableNetBIOS", True)
        )
        if not found:
            raise ResourceError(f"{self.context.name} depends on no IP Address with EnableNetBIOS set")
        return found

    def _registry(self) -> NameRegistry:
        folder = self["RegistryPath"] or os.environ.get(REGISTRY_VARIABLE)
        if not folder:
            raise ResourceError(
                f"no directory for network names: set RegistryPath, or {REGISTRY_VARIABLE} on the node"
            )
        return NameRegistry(folder)

    def offline(self) -> None:
        record, self._record = self._record, None
        if record is not None and not self._registry().withdraw(record):
            self.context.log(1, f"{record.name} was registered by another owner meanwhile", NOT_REGISTERED)

    def terminate(self) -> None:
        """As Offline; a record that cannot be withdrawn is replaced by the next owner's."""
        try:
            self.offline()
        except (OSError, ValueError) as error:
            self.context.log(1, f"{self['Name']} could not be withdrawn: {error}", NOT_REGISTERED)

    def is_alive(self) -> bool:
        try:
            present = self._registry().read(self["Name"])
        except (OSError, ValueError) as error:
            raise ResourceError(
                f"the record of {self['Name']} cannot be read: {error}", NOT_REGISTERED
            ) from error
        if (
            self._record is None
            or present is None
            or not present.same_owner(self._record)
            or not present.addresses  # it was withdrawn
        ):
            raise ResourceError(
                f"{self['Name']} is no longer registered to {self.context.node}", NOT_REGISTERED
            )
        return True
