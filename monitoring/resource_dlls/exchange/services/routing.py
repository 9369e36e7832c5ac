"""The Routing Service: hands mail for other virtual servers to the cluster's transfer agent.

It takes each mail from the store's queue and strikes it out there once the transfer agent
has it on disk. The agent runs beside one virtual server of the cluster: whoever of them
answers on its port has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.logger import Logger

from monitoring.resource_dlls.exchange.services import calls
from monitoring.resource_dlls.exchange.services.late_reactor import reactor
from monitoring.resource_dlls.exchange.services.pauses import pause
from monitoring.resource_dlls.exchange.services.place import Place, run
from monitoring.resource_dlls.exchange.services.transfer import TemporaryFailureError, send
from monitoring.resource_dlls.network_name.names import NameRegistry

LONG_POLL_S = 60.0
RETRY_S = 2.0
logger = Logger()


def serve(place: Mapping[str, Any], port: int, mta_port: int, ready: str) -> None:
    def start(here: Place) -> None:
        router = Router(here, mta_port)
        calls.listen(here, port, router.check)
        reactor.callWhenRunning(router.follow)

    run(place, ready, start)


class Router:
    """Empties the store's queue towards the transfer agent."""

    def __init__(self, place: Place, mta_port: int) -> None:
        self._place = place
        self._mta_port = mta_port
        self._store = calls.Service(place, "store")
        self._last_seen = place.address

    def check(self) -> None:
        """Healthy means that the directory of names can be read."""
        if self._place.names:
            next(NameRegistry(self._place.names).records(), None)

    def _places_of_mta(self) -> Iterator[str]:
        """Addresses to try, where it was last seen first."""
        yield self._last_seen
        if self._place.names:
            for record in NameRegistry(self._place.names).records():
                yield from (a for a in record.addresses if a != self._last_seen)

    @inlineCallbacks
    def follow(self) -> Any:
        """Work for as long as the process lives."""
        while True:
            try:
                numbers = yield self._store.call(
                    "await_outbound", LONG_POLL_S, limit=LONG_POLL_S + calls.ANSWER_LIMIT_S
                )
                for number in numbers:
                    yield self._hand_over(number)
            except (calls.ServiceUnavailableError, TemporaryFailureError):
                yield pause(RETRY_S)
            except Exception:
                logger.failure("a mail could not be handed to the transfer agent")
                yield pause(RETRY_S)

    @inlineCallbacks
    def _hand_over(self, number: int) -> Any:
        parcel = yield self._store.call("outbound_get", number)
        if parcel is None:
            return
        sender, recipient, data = parcel
        for address in list(self._places_of_mta()):
            try:
                yield send(self._place.name, address, self._mta_port, sender, recipient, data.data)
            except TemporaryFailureError:
                continue
            self._last_seen = address
            self._place.journal("serve", what="hand over", recipient=recipient)
            yield self._store.call("outbound_sent", number)
            return
        raise TemporaryFailureError("the transfer agent does not answer anywhere")
