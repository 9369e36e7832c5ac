"""A group's address and disk for tests of database servers: a folder that the servers' accounts may enter."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import Provider, ResourceDLL
from tests.resource_dlls.context import LocalContext, call, free_address

POSTGRES: dict[str, Any] = (
    {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
)
"""Whom a database belongs to, as arguments of subprocess."""


def make_database(data: Path) -> Path:
    """A PostgreSQL database that lets everybody in; gives the folder of the version's programs."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("needs the package postgresql (make packages)")
    data.mkdir(mode=0o700)
    give_to_postgres(data)
    options = ["--pgdata", str(data), "--username", "postgres", "--auth", "trust", "--no-sync"]
    subprocess.run([programs[-1], *options], check=True, stdout=subprocess.DEVNULL, cwd=data, **POSTGRES)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all trust\n")
    return programs[-1].parent


def give_to_postgres(path: Path) -> None:
    if POSTGRES:
        shutil.chown(path, "postgres", "postgres")


class Group:
    """An address of its own and a disk, which one node after the other may have."""

    def __init__(self, disk: Path, private: Path) -> None:
        self.address = free_address()
        self.disk = disk
        self._private = private
        self._made: list[ResourceDLL] = []

    def context(self, node: str = "NODE1", epoch: int = 1) -> LocalContext:
        providers = [
            Provider("address", "IP Address", {"Address": self.address}),
            Provider("disk", "Physical Disk", {"Path": str(self.disk)}),
        ]
        return LocalContext(self._private / node, node=node, epoch=epoch, providers=providers)

    def resource(self, type_name: str, context: LocalContext, **properties: Any) -> ResourceDLL:
        """The resource, opened; it is terminated at the end of the test."""
        dll = registry.get(type_name)
        resource = dll(context, dll.clean(properties))
        call(resource.open)
        self._made.append(resource)
        return resource

    def end(self) -> None:
        for resource in self._made:
            call(resource.terminate)


@contextmanager
def group(private: Path) -> Iterator[Group]:
    """`private`: where nodes keep their own state, which no other account may read."""
    disk = Path(tempfile.mkdtemp(prefix="clusterweb-disk-"))
    disk.chmod(0o755)
    private.mkdir(mode=0o700, exist_ok=True)
    made = Group(disk, private)
    try:
        yield made
    finally:
        made.end()
        shutil.rmtree(disk, ignore_errors=True)
