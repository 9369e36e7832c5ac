"""A real name server for tests: Knot DNS, with zones of its own that take updates by a key."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pytest

KEY_NAME, SECRET = "clusterweb", "c2VjcmV0IG9mIHRoZSB0ZXN0cyBhbmQgb2Ygbm9ib2R5"
ZONE = "example.org"
PORT = 5311
_CONFIGURATION = """
server:
    rundir: "{folder}/run"
    listen: "{address}@{port}"
    udp-workers: 1
    tcp-workers: 1
    background-workers: 2
log:
  - target: stdout
    any: info
database:
    storage: "{folder}/db"
key:
  - id: {key}
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: updates
    key: {key}
    action: update
template:
  - id: default
    storage: "{folder}"
    file: "%s.zone"
    zonefile-sync: -1
    zonefile-load: difference-no-serial
    journal-content: all
    acl: updates
zone:
"""
_ZONE = """$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns.{zone}.
"""


class NameServer:
    """One server. `ask` is a client's question to it."""

    def __init__(self, folder: Path, address: str, zones: Sequence[str] = (ZONE,), port: int = PORT) -> None:
        program = shutil.which("knotd", path="/usr/sbin:/usr/bin")
        if program is None:
            pytest.skip("needs Knot DNS (knot)")
        self._program, self.folder, self.address, self.port = program, folder, address, port
        self._process: subprocess.Popen[bytes] | None = None
        for name in ("run", "db"):
            (folder / name).mkdir(parents=True)
        text = _CONFIGURATION.format(folder=folder, address=address, port=port, key=KEY_NAME, secret=SECRET)
        for zone in zones:
            text += f"  - domain: {zone}\n"
            (folder / f"{zone}.zone").write_text(_ZONE.format(zone=zone))
        (folder / "knot.conf").write_text(text)

    def start(self) -> None:
        with (self.folder / "knotd.log").open("ab") as log:
            argv = [self._program, "-c", str(self.folder / "knot.conf")]
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while True:
            with suppress(OSError, dns.exception.DNSException):
                if dns.query.udp(
                    dns.message.make_query(ZONE, "SOA"), self.address, timeout=0.2, port=self.port
                ).answer:
                    return
            assert time.monotonic() < deadline, (self.folder / "knotd.log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    @property
    def text(self) -> str:
        """As it stands in DnsServers."""
        return f"{self.address}:{self.port}"

    def ask(self, name: str, kind: str = "A") -> list[str]:
        question = dns.message.make_query(name, kind)
        answer = dns.query.udp(question, self.address, timeout=1, port=self.port)
        wanted = dns.rdatatype.from_text(kind)
        return sorted(str(rdata) for rrset in answer.answer if rrset.rdtype == wanted for rdata in rrset)

    def properties(self) -> dict[str, str]:
        """What a Network Name needs for it."""
        return {
            "DnsServers": self.text,
            "DnsZone": ZONE,
            "DnsKeyName": KEY_NAME,
            "DnsKeySecret": SECRET,
        }


@contextmanager
def name_server(folder: Path, address: str, zones: Sequence[str] = (ZONE,)) -> Iterator[NameServer]:
    server = NameServer(folder, address, zones)
    try:
        server.start()
        yield server
    finally:
        server.stop()
