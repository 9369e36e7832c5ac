"""The name at name servers, by dynamic update: at all that are given, each asked beside the others."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from monitoring.resource_dlls.network_name.dns_names import Entry, NameServer, SilentError
from monitoring.resource_dlls.network_name.names import NameRecord, NameTakenError
from monitoring.resource_dlls.network_name.ways import WayError

CATCH_UP_S = 2.0
"""How long a name server may take to lead to what it has been told, or another to be told by it."""
LOOK_AGAIN_S = 0.25


class AtNameServers:
    """A way to make a name known (ways.Way).

    A server that is silent is no failure, unless `required`: the name is registered there as soon as
    it answers again. One that leads elsewhere is.
    """

    def __init__(
        self,
        servers: Sequence[NameServer],
        *,
        reverse: bool,
        required: bool,
        show: Callable[[str, int], None],
        log: Callable[[str], None],
    ) -> None:
        self._servers, self._reverse, self._required = servers, reverse, required
        self._show, self._log = show, log
        self._entry: Entry | None = None
        self._at: set[NameServer] = set()
        """Where the name is registered for this Online."""
        self._given_up = False

    def publish(self, record: NameRecord) -> None:
        self._entry = Entry(record, uuid.uuid4().hex[:8])
        self._settle(record, self._each(self._servers, self._register))

    def adopt(self, record: NameRecord) -> None:
        """What an earlier agent of this owner has registered goes on under its mark."""
        self._entry = Entry(record, uuid.uuid4().hex[:8])
        self._settle(record, self._each(self._servers, self._find))

    def withdraw(self, record: NameRecord) -> bool:
        self._given_up = True
        at, self._at = self._at, set()
        own: list[bool] = []
        problems = self._each(list(at), lambda server: own.append(self._take_back(server)))
        if problems:
            raise WayError("; ".join(map(str, problems.values())))
        return all(own)

    def withdraw_soon(self, record: NameRecord) -> None:
        self._given_up = True
        if self._at:
            threading.Thread(target=self._withdraw_aside, args=(record,), name="name", daemon=True).start()

    def _withdraw_aside(self, record: NameRecord) -> None:
        try:
            self.withdraw(record)
        except WayError as error:
            self._log(f"{record.name} was not withdrawn: {error}")

    def looks_fine(self, record: NameRecord) -> bool:
        return self._entry is not None and not self._given_up

    def check(self, record: NameRecord) -> None:
        missing = [server for server in self._servers if server not in self._at]
        problems = self._each(missing, self._register) | self._each(list(self._at), self._compare)
        self._settle(record, problems)

    # At one server

    def _register(self, server: NameServer) -> None:
        entry = self._wanted
        server.register(entry)
        self._at.add(server)
        if self._given_up:  # meanwhile, by Terminate, which may have looked before
            self._at.discard(server)
            self._take_back(server)
        else:
            self._point_back(server, entry)

    def _find(self, server: NameServer) -> None:
        present, wanted = server.entry(self._wanted.record.name), self._wanted
        if present is not None and present.record.same_owner(wanted.record) and present.record.addresses:
            # The first that is found gives its mark to all: they were registered together.
            self._entry = Entry(wanted.record, present.mark)
            self._at.add(server)
        else:
            raise WayError(f"{self._wanted.record.name} is no longer registered at {server} to this node")

    def _take_back(self, server: NameServer) -> bool:
        entry = self._wanted
        own = server.withdraw(entry)
        if own and self._reverse:
            server.point_back(entry.record.name, entry.record.addresses, away=True)
        return own

    def _compare(self, server: NameServer) -> None:
        """The server leads to the group's addresses, and no other owner has the name; else WayError."""
        entry, record = self._wanted, self._wanted.record
        deadline = time.monotonic() + CATCH_UP_S
        while True:
            found = server.addresses(record.name)
            if found == set(record.addresses):
                break
            if time.monotonic() > deadline:
                where = f"leads to {', '.join(sorted(found))}" if found else "is not known"
                raise WayError(
                    f"{server.full(record.name).to_text(omit_final_dot=True)} {where} at {server},"
                    f" not to {', '.join(record.addresses)}"
                )
            time.sleep(LOOK_AGAIN_S)
        present = server.entry(record.name)
        if present != Entry(present.record if present else record, entry.mark):
            raise WayError(f"{record.name} is no longer registered at {server} to {record.node}")
        if self._reverse and not server.points_back(record.name, record.addresses):
            self._point_back(server, entry)

    def _point_back(self, server: NameServer, entry: Entry) -> None:
        """Names of addresses are for people: where they cannot be set, that is said, and no more."""
        if self._reverse:
            try:
                server.point_back(entry.record.name, entry.record.addresses)
            except WayError as error:
                self._log(f"the addresses of {entry.record.name} do not lead back to it: {error}")

    @property
    def _wanted(self) -> Entry:
        if self._entry is None:
            raise WayError("the name is registered at no name server")
        return self._entry

    # At all of them

    def _each(
        self, servers: Sequence[NameServer], act: Callable[[NameServer], None]
    ) -> dict[NameServer, WayError | NameTakenError]:
        """Do it at each, at the same time; what went wrong, by server."""

        def attempt(server: NameServer) -> WayError | NameTakenError | None:
            try:
                act(server)
            except (WayError, NameTakenError) as error:
                return error
            return None

        if len(servers) <= 1:
            outcomes = [attempt(server) for server in servers]
        else:
            with ThreadPoolExecutor(len(servers), "name") as pool:
                outcomes = list(pool.map(attempt, servers))
        pairs = zip(servers, outcomes, strict=True)
        return {server: error for server, error in pairs if error is not None}

    def _settle(self, record: NameRecord, problems: dict[NameServer, WayError | NameTakenError]) -> None:
        """Raise what is a failure; show the rest."""
        for server, error in problems.items():
            heard = not isinstance(error, SilentError)
            if isinstance(error, NameTakenError) or (heard and server in self._at):
                raise error
        if self._required and len(problems) == len(self._servers):
            raise WayError("; ".join(map(str, problems.values())))
        full = self._servers[0].full(record.name).to_text(omit_final_dot=True)
        fine = [str(server) for server in self._servers if server not in problems]
        said = [f"{full} at {', '.join(fine)}" if fine else f"{full} is registered nowhere"]
        said += map(str, problems.values())
        self._show("; ".join(said), int(bool(problems)))
