"""The Network Name resource: makes the group's name known with its addresses, in one way or several.

Plain methods, on a thread of the resource's own, since storage may hang and name servers may be silent.
What talks to the network is loaded where a name is first made known in that way.

Source: semantics 5.1 and 5.2; RFC 2136, RFC 6762.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from monitoring.resource_dlls.api import Context, ResourceDLL, ResourceError
from monitoring.resource_dlls.network_name import properties
from monitoring.resource_dlls.network_name.hosts import InHostsFile
from monitoring.resource_dlls.network_name.names import NameRecord, NameTakenError
from monitoring.resource_dlls.network_name.registry import InRegistry
from monitoring.resource_dlls.network_name.ways import Way, WayError

NAME_IS_A_NODE = 1050
NOT_REGISTERED = 1215


class NetworkName(ResourceDLL):
    type_name = "Network Name"
    description = "The name by which clients find the group on whichever node it runs."
    family = "Network"
    icon = "tag"
    required_dependencies = ("IP Address",)
    properties = properties.PROPERTIES

    def __init__(self, context: Context, values: Mapping[str, Any]) -> None:
        super().__init__(context, values)
        self._record: NameRecord | None = None
        self._known: list[Way] = []
        """The ways in which the name is known at the moment, or about to be."""
        self._changing = threading.Lock()
        self._ends = 0
        """How often it was terminated: an Online that is interrupted leaves no name behind."""

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        properties.check(values)

    def online(self) -> None:
        if self["Name"] == self.context.node.upper():
            raise ResourceError(f"the network name {self['Name']} is the name of this node", NAME_IS_A_NODE)
        begun, record = self._ends, self._own_record()
        ways = self._ways()
        with self._registering(record):
            for way in ways:
                self._enter(begun, record, way)
                way.publish(record)
                self._check_wanted(begun, record, way)
        self._hold(begun, record)

    def adopt(self) -> bool:
        """The name, which needs no agent in most ways, is still this owner's."""
        begun, record = self._ends, self._own_record()
        ways = self._ways()
        with self._registering(record):
            for way in ways:
                self._enter(begun, record, way)
                way.adopt(record)
                self._check_wanted(begun, record, way)
        self._hold(begun, record)
        return self.is_alive()

    def _enter(self, begun: int, record: NameRecord, way: Way) -> None:
        """From here on Terminate takes the name back in this way, too."""
        with self._changing:
            if self._ends == begun:
                self._known.append(way)
                return
        raise ResourceError(f"{record.name} was given up while it was registered")

    def _check_wanted(self, begun: int, record: NameRecord, way: Way) -> None:
        """What became known after Terminate had looked is taken back."""
        if self._ends != begun:
            way.withdraw_soon(record)
            raise ResourceError(f"{record.name} was given up while it was registered")

    def _hold(self, begun: int, record: NameRecord) -> None:
        with self._changing:
            if self._ends == begun:
                self._record = record

    @contextmanager
    def _registering(self, record: NameRecord) -> Iterator[None]:
        try:
            yield
        except (NameTakenError, WayError) as error:
            raise ResourceError(str(error), NOT_REGISTERED) from error
        except (OSError, ValueError) as error:
            raise ResourceError(f"{record.name} cannot be registered: {error}", NOT_REGISTERED) from error

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

    def _ways(self) -> list[Way]:
        """The ways that the properties ask for."""
        ways: list[Way] = []
        folder = self["RegistryPath"] or os.environ.get(properties.REGISTRY_VARIABLE)
        if folder:
            ways.append(InRegistry(folder))
        if self["HostsFile"]:
            full = f"{self['Name'].lower()}.{self['DnsZone']}" if self["DnsZone"] else ""
            ways.append(InHostsFile(self["HostsFile"], full))
        if self["DnsServers"]:
            ways.append(self._at_name_servers())
        if self["MulticastDns"]:
            from monitoring.resource_dlls.network_name.multicast import OnLocalNetwork

            ways.append(OnLocalNetwork(lambda text, level: self._show("mDNS", text, level)))
        if not ways:
            raise ResourceError(
                "the name is to be made known in no way: set DnsServers, MulticastDns, HostsFile or"
                f" RegistryPath, or {properties.REGISTRY_VARIABLE} on the node"
            )
        return ways

    def _at_name_servers(self) -> Way:
        from monitoring.resource_dlls.network_name.dns_names import Key, NameServer
        from monitoring.resource_dlls.network_name.dns_servers import AtNameServers

        key = None
        if self["DnsKeyName"]:
            key = Key(self["DnsKeyName"], self["DnsKeyAlgorithm"], self["DnsKeySecret"])
        servers = [
            NameServer(host, port, self["DnsZone"], key, self["HostRecordTTL"])
            for host, port in properties.servers(self["DnsServers"])
        ]
        return AtNameServers(
            servers,
            reverse=self["PublishPTRRecords"],
            required=self["RequireDNS"],
            show=lambda text, level: self._show("DNS", text, level),
            log=lambda text: self.context.log(1, text, NOT_REGISTERED),
        )

    def _show(self, fact: str, text: str, level: int) -> None:
        self.context.show(fact, text[: properties.FACT_LENGTH], level=level)

    def offline(self) -> None:
        """Take the name back. Where that is not possible the next owner replaces it."""
        for record, way in self._give_up():
            try:
                if not way.withdraw(record):
                    self._log(f"{record.name} was registered by another owner meanwhile")
            except (WayError, OSError, ValueError) as error:
                self._log(f"{record.name} could not be withdrawn: {error}")

    def terminate(self) -> None:
        """As Offline, but it waits for no other machine."""
        for record, way in self._give_up():
            try:
                way.withdraw_soon(record)
            except (WayError, OSError, ValueError) as error:
                self._log(f"{record.name} could not be withdrawn: {error}")

    def _give_up(self) -> list[tuple[NameRecord, Way]]:
        """From now on nothing is registered; what is known in which way until now."""
        with self._changing:
            self._ends += 1
            record, self._record = self._record, None
            ways, self._known = self._known, []
        return [(record or self._own_record(), way) for way in ways]

    def _log(self, text: str) -> None:
        self.context.log(1, text, NOT_REGISTERED)

    def looks_alive(self) -> bool:
        record, ways = self._record, list(self._known)
        try:
            return record is not None and all(way.looks_fine(record) for way in ways)
        except (OSError, ValueError):
            return False

    def is_alive(self) -> bool:
        record, ways = self._record, list(self._known)
        if record is None:
            raise ResourceError(
                f"{self['Name']} is no longer registered to {self.context.node}", NOT_REGISTERED
            )
        with self._registering(record):
            for way in ways:
                way.check(record)
        return True
