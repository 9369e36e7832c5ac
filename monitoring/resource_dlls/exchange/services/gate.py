"""Greeting clients of the line protocols: only a server that can reach the store says welcome."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.protocol import ServerFactory

from monitoring.resource_dlls.exchange.services.calls import Service
from monitoring.resource_dlls.exchange.services.place import Place


class StoreGate:
    """Comes before a protocol class: asks the store first, then lets the protocol greet.

    Without a store the client hears `unavailable`, in which {name} is the network name.
    """

    unavailable: ClassVar[str]
    factory: StoreFactory
    transport: Any

    def connectionMade(self) -> None:
        self.transport.pauseProducing()
        self.factory.store.call("check").addCallbacks(self._welcome, self._refuse)

    def _welcome(self, _: Any) -> None:
        if self.transport.connected:
            super().connectionMade()  # type: ignore[misc]
            self.transport.resumeProducing()

    def _refuse(self, _: Any) -> None:
        self.transport.write(self.unavailable.format(name=self.factory.place.name).encode())
        self.transport.loseConnection()


class StoreFactory(ServerFactory):
    """Makes protocols that know the virtual server and its store."""

    noisy = False

    def __init__(self, protocol: Any, place: Place) -> None:
        self.protocol = protocol
        self.place = place
        self.store = Service(place, "store")
