"""Redis with passwords, TLS and Sentinels, on loopback, for tests."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.cluster.installation import free_port, wait_until

PASSWORD, SENTINEL_PASSWORD = "w@rd/1", "p#ss 2"
MASTER = "mymaster"
DAY = datetime.timedelta(days=1)


def program() -> str:
    """A Redis that speaks TLS: Debian's, which is one program under several names."""
    found = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    if found is None:
        pytest.skip("no Redis with TLS on this machine (Debian: redis-tools)")
    return found


class Authority:
    """Signs the certificate of a server on 127.0.0.1."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.file = folder / f"{name}.pem"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._builder(self._name, self._key.public_key())
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.file.write_bytes(_pem(made.sign(self._key, hashes.SHA256())))

    def _builder(self, subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
        )

    def certify(self, name: str = "server") -> tuple[Path, Path]:
        """Certificate and key, as files."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        made = self._builder(subject, key.public_key())
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate, secret = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_bytes(_pem(made.sign(self._key, hashes.SHA256())))
        form = serialization.PrivateFormat.PKCS8
        plain = serialization.NoEncryption()
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
        return certificate, secret


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


class Servers:
    """Processes of Redis, and their end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        self._files = self.authority.certify()
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def _tls(self, port: int, *, clients: bool) -> list[str]:
        certificate, key = self._files
        return [
            *("port 0", f"tls-port {port}", "bind 127.0.0.1", "tls-replication yes"),
            *(
                f"tls-cert-file {certificate}",
                f"tls-key-file {key}",
                f"tls-ca-cert-file {self.authority.file}",
            ),
            f"tls-auth-clients {'yes' if clients else 'no'}",
        ]

    def start(self, port: int, *lines: str, sentinel: bool = False, clients: bool = False) -> None:
        """Start one; `clients`: it asks for the clients' certificates."""
        home = self.folder / str(port)
        home.mkdir(exist_ok=True)
        settings = home / "redis.conf"
        settings.write_text("\n".join([*self._tls(port, clients=clients), f"dir {home}", *lines, ""]))
        argv = ["redis-server", str(settings), *(["--sentinel"] if sentinel else [])]
        log = (home / "log").open("ab")
        self.running[port] = subprocess.Popen(argv, executable=program(), stdout=log, stderr=log)

    def data(self, port: int, *, master: int | None = None, clients: bool = False) -> None:
        """A server with a password, or a replica of another."""
        lines = [f'requirepass "{PASSWORD}"', f'masterauth "{PASSWORD}"', 'save ""', "appendonly no"]
        if master is not None:
            lines.append(f"replicaof 127.0.0.1 {master}")
        self.start(port, *lines, clients=clients)

    def sentinel(self, port: int, master: int) -> None:
        self.start(
            port,
            f'requirepass "{SENTINEL_PASSWORD}"',
            f'sentinel sentinel-pass "{SENTINEL_PASSWORD}"',
            f"sentinel monitor {MASTER} 127.0.0.1 {master} 2",
            f'sentinel auth-pass {MASTER} "{PASSWORD}"',
            f"sentinel down-after-milliseconds {MASTER} 1000",
            f"sentinel failover-timeout {MASTER} 4000",
            sentinel=True,
        )

    def client(self, port: int, password: str = PASSWORD, **more: object) -> redis.Redis:
        ca = str(self.authority.file)
        return redis.Redis("127.0.0.1", port, password=password, ssl=True, ssl_ca_certs=ca, **more)  # type: ignore[arg-type]

    def kill(self, port: int) -> None:
        process = self.running.pop(port)
        process.kill()
        process.wait()

    def close(self) -> None:
        for port in list(self.running):
            self.kill(port)


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    made = Servers(folder)
    try:
        yield made
    finally:
        made.close()


class Watched:
    """A master, its replica and three Sentinels, all with TLS and passwords."""

    def __init__(self, made: Servers) -> None:
        self.made = made
        self.master, self.replica = free_port(), free_port()
        self.sentinels = [free_port() for _ in range(3)]
        made.data(self.master)
        made.data(self.replica, master=self.master)
        wait_until(lambda: self._replicates(), 20, "the replica follows")
        for port in self.sentinels:
            made.sentinel(port, self.master)
        wait_until(lambda: self._all_know_each_other(), 30, "the Sentinels know each other and the replica")

    @property
    def url(self) -> str:
        hosts = ";".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"sentinels://:w%40rd%2F1@{hosts}/{MASTER}?sentinel_password=p%23ss%202"

    def _replicates(self) -> bool:
        with suppress(redis.RedisError):
            told: Any = self.made.client(self.replica).info("replication")
            return bool(told["master_link_status"] == "up")
        return False

    def _all_know_each_other(self) -> bool:
        try:
            for port in self.sentinels:
                told = self.made.client(port, SENTINEL_PASSWORD).sentinel_master(MASTER)
                if told["num-other-sentinels"] != 2 or told["num-slaves"] != 1:  # type: ignore[index]
                    return False
        except (redis.RedisError, KeyError):
            return False
        return True

    def present(self) -> int:
        """Port of the server that the Sentinels say is the master."""
        client = self.made.client(self.sentinels[0], SENTINEL_PASSWORD)
        return int(client.sentinel_get_master_addr_by_name(MASTER)[1])  # type: ignore[index]
