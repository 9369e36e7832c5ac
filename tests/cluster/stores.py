"""A PostgreSQL and a Valkey of the operator's own, for tests: on loopback, in a folder that goes away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from clusterweb.run.broker import find_server
from tests.cluster.installation import free_port, wait_until

READY_WITHIN = 30.0


@contextmanager
def postgresql() -> Iterator[str]:
    """A fresh PostgreSQL server; gives its DATABASE_URL. It will not run as root, so root lends a user."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("no PostgreSQL on this machine")
    folder = programs[-1].parent
    data = Path(tempfile.mkdtemp(prefix="clusterweb-pg-"))
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(data, "postgres", "postgres")
    port = free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": data, **user}
    subprocess.run(
        [folder / "initdb", "--pgdata", data, "--username", "clusterweb", "--auth", "trust", "--no-sync"],
        check=True,
        **quiet,
    )
    server = subprocess.Popen(
        [folder / "postgres", "-D", data, "-p", str(port), "-k", "", "-c", "listen_addresses=127.0.0.1"],
        **quiet,
    )
    try:
        url = f"postgres://clusterweb@127.0.0.1:{port}/clusterweb"
        wait_until(lambda: _made_database(port), READY_WITHIN, "PostgreSQL takes connections")
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # it does not wait for those who are still connected
        server.wait(30)
        shutil.rmtree(data, ignore_errors=True)


def _made_database(port: int) -> bool:
    try:
        address = f"host=127.0.0.1 port={port} user=clusterweb dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("CREATE DATABASE clusterweb")
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def valkey() -> Iterator[str]:
    """A Valkey server with a password; gives its URL."""
    port = free_port()
    server = subprocess.Popen(
        [find_server(), "--bind", "127.0.0.1", "--port", str(port), "--requirepass", "word", "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    try:
        yield f"redis://:word@127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(30)
