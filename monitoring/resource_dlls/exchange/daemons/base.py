"""What Postfix, Dovecot and nginx have in common as resources: start, wait, reload, stop, ask.

Online, Offline and LooksAlive are plain methods, on the resource's own thread: they touch the
group's disk. IsAlive is a conversation over the network.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from monitoring.resource_dlls.api import Process, Property, ResourceDLL, ResourceError
from monitoring.resource_dlls.exchange.base import ATTENDANT
from monitoring.resource_dlls.exchange.daemons import certificate, place
from monitoring.resource_dlls.exchange.daemons.certificate import Pair
from monitoring.resource_dlls.exchange.daemons.probes import STARTTLS, TLS, Door
from monitoring.resource_dlls.exchange.health import CHECK_FAILED
from monitoring.resource_dlls.exchange.starting import START_FAILED

SERVES_WITHIN_S = 30.0
"""A server that runs and does not answer for so long after its start will not."""
STOP_GRACE_S = 1.0
"""They stop within 0.1 s, and what they have acknowledged is on the disk. Asked all at once, Dovecot's
processes wait for each other at times; asked alone, its first one takes a second for it."""
LOOK_EVERY_S = 0.03
NOTE = "run"
"""The file in the state folder that names the one under /run."""


class Daemon(ResourceDLL):
    """A server program of the distribution, with an instance of its own for the group.

    A type says what it is: `part` is its folder, `program` and `package` what is started, and
    `prepare` writes its files and returns the command.
    """

    family = "Exchange"
    required_dependencies: ClassVar[tuple[str, ...]] = (ATTENDANT,)
    is_alive_ms = 10_000
    part: ClassVar[str]
    program: ClassVar[str]
    package: ClassVar[str]

    _process: Process | None = None

    # Where

    @property
    def address(self) -> str:
        return str(self.provider("IP Address").properties["Address"])

    @property
    def network_name(self) -> str:
        return str(self.provider("Network Name").properties["Name"]).lower()

    @property
    def run(self) -> Path:
        return place.run_folder(self.context, self.part)

    @property
    def disk(self) -> Path:
        return Path(self.provider("Physical Disk").properties["Path"])

    # What a type says

    def prepare(self, executable: str) -> list[str]:
        """Write what the server needs; the command that runs it in the foreground."""
        raise NotImplementedError

    def doors(self) -> list[Door]:
        """Where it listens on the group's address."""
        return []

    async def check_health(self) -> None:
        """Ask the server as a client does; ResourceError says what is wrong."""
        raise NotImplementedError

    def started(self) -> None:
        """It serves. Default: nothing more to do."""

    def explain(self) -> str:
        """Why it ended while starting, where it left no word itself."""
        return ""

    # Life

    def open(self) -> None:
        self.context.kill_all()

    def online(self) -> None:
        place.require_root(self.type_name)
        place.check_plain(self.context.state_dir)
        place.check_plain(self.disk)
        executable = place.program(self.program, self.package)
        place.program("unshare", "util-linux")
        self.check_files()
        place.write(self.context.state_dir / NOTE, str(self.run))
        place.make_run_folder(self.run)
        command = self.prepare(executable)
        place.check_ports(self.address, [door.port for door in self.doors()])
        log = self.context.state_dir / "output.log"
        said_before = log.stat().st_size if log.exists() else 0
        self._process = self.context.spawn(place.contained(command), cwd="/")
        self._wait(self._process, log, said_before)
        self.started()

    def check_files(self) -> None:
        """Refuse, before anything is started, files that it could not use."""

    def _wait(self, process: Process, log: Path, said_before: int) -> None:
        """Return once it serves."""
        deadline = time.monotonic() + SERVES_WITHIN_S
        while True:
            if process.returncode is not None:
                words = _last_words(log, said_before) or self.explain() or f"see {log}"
                raise ResourceError(
                    f"{self.program} ended with exit code {process.returncode}: {words}", START_FAILED
                )
            try:
                return asyncio.run(self._check_everywhere())
            except ResourceError as error:
                if time.monotonic() > deadline:
                    words = _last_words(log, said_before)
                    raise ResourceError(
                        f"{self.program} does not serve: {error} ({words})", START_FAILED
                    ) from error
            time.sleep(LOOK_EVERY_S)

    async def _check_everywhere(self) -> None:
        for _ in self.doors() or (None,):
            await self.check_health()

    def adopt(self) -> bool:
        """It needs nothing of the agent: IsAlive, which is next, asks it."""
        running = self.context.watched()
        self._process = running[0] if running else None
        return bool(running)

    def offline(self) -> None:
        self._process = None
        self.context.kill_all(STOP_GRACE_S)
        self.sweep(self.context.state_dir)

    def terminate(self) -> None:
        self._process = None
        self.context.kill_all()
        self.sweep(self.context.state_dir)

    @classmethod
    def sweep(cls, state_dir: Path) -> None:
        """Take away the folder under /run, with the hashes of passwords in it."""
        note = state_dir / NOTE
        try:
            folder = note.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        place.remove_run_folder(Path(folder))
        note.unlink(missing_ok=True)  # an Offline that Terminate interrupts does the same

    async def is_alive(self) -> bool:
        if self._process is None:
            return False
        if self._process.returncode is not None:
            raise ResourceError(
                f"{self.program} ended with exit code {self._process.returncode}", CHECK_FAILED
            )
        await self.check_health()
        return True

    def looks_alive(self) -> bool:
        """The process runs. A connection would show no more, and fill the server's log."""
        return self._process is not None and self._process.returncode is None

    def reload(self) -> None:
        """Have the server read its files again (SIGHUP); those that it serves are served on."""
        process = self._process
        if process is not None:
            _signal(process, signal.SIGHUP)


class EncryptedDaemon(Daemon):
    """A server with a plain port and, where it has a certificate, STARTTLS on it and an encrypted port."""

    takes_passwords: ClassVar[bool] = True
    _turn = 0

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> None:
        certificate.check_values(values)
        super().check(values)

    @property
    def pair(self) -> Pair | None:
        return Pair.of(self._values)

    def doors(self) -> list[Door]:
        """Where clients come in: each IsAlive tries the next, so that each is tried in turn."""
        if self.pair is None:
            return [Door(self.address, self["Port"])]
        return [Door(self.address, self["Port"], STARTTLS), Door(self.address, self["TlsPort"], TLS)]

    @property
    def _noted(self) -> Path:
        """What certificate the running server has read, as Pair.state tells it."""
        return self.context.state_dir / "certificate"

    def check_files(self) -> None:
        if pair := self.pair:
            pair.check()
            place.write(self._noted, pair.state())

    def looks_alive(self) -> bool:
        self._take_new_certificate()
        return super().looks_alive()

    def _take_new_certificate(self) -> None:
        """A renewed certificate is used at once; one that cannot be used is told, and the old one stays."""
        if (pair := self.pair) is None or not self._noted.exists():
            return
        try:
            state = pair.state()
            if state == self._noted.read_text(encoding="utf-8"):
                return
            place.write(self._noted, state)
            pair.check()
        except (OSError, ResourceError) as error:
            self.context.log(1, f"{self.context.name} keeps the certificate that it has: {error}")
            return
        self.reload()
        self.context.log(0, f"{self.context.name} took over a new certificate from {pair.certificate}")

    async def check_health(self) -> None:
        doors = self.doors()
        door = doors[self._turn % len(doors)]
        self._turn += 1
        presented = await self.converse(door)
        if presented:
            self._judge(presented)
        elif self.pair is None:
            text = "none: passwords cross the network as they are" if self.takes_passwords else "none"
            self.context.show("Encryption", text, level=int(self.takes_passwords))

    async def converse(self, door: Door) -> bytes:
        """The probe of the protocol; the certificate that the server presented."""
        raise NotImplementedError

    def _judge(self, presented: bytes) -> None:
        """Show until when what clients are given is valid."""
        until = certificate.valid_until(presented)
        found = certificate.expiry(until, datetime.now(UTC), self[certificate.WARNING])
        self.context.show("Certificate", found.text, level=found.level)
        if found.is_over and self[certificate.FAILS]:
            raise ResourceError(f"the certificate {found.text}", CHECK_FAILED)


def port(name: str, default: int, purpose: str) -> Property:
    return Property(name, kind="port", default=default, help=f"{purpose}, on the group's own address")


def _signal(process: Process, number: signal.Signals) -> None:
    """Signal the server's first process, the only child of the one that is watched."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with suppress(OSError, IndexError):
        os.kill(int(children.read_text().split()[0]), number)


def _last_words(log: Path, start: int) -> str:
    """The last line that a program wrote since its start."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(start)
        lines = file.read(1 << 16).decode("utf-8", "replace").split("\n")
        return next((line.strip()[:500] for line in reversed(lines) if line.strip()), "")
    return ""
