"""A real database under the agent that people use: started, asked, killed and started anew."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import ResourceDLL, ResourceError
from tests.cluster.installation import free_port
from tests.resource_dlls.context import LocalContext, call, make, online, wait_until
from tests.resource_dlls.ocf_agents import use_real_root


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the database's own user may use."""
    if os.geteuid() != 0:
        pytest.skip("needs root: the agent runs the database as another user")
    made = Path(tempfile.mkdtemp(prefix="clusterweb-ocf-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def database(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ResourceDLL]:
    use_real_root(monkeypatch)
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("needs the package postgresql (make packages)")
    data = folder / "data"
    data.mkdir(mode=0o700)
    shutil.chown(data, "postgres", "postgres")
    subprocess.run(
        [programs[-1], "--pgdata", data, "--auth", "trust", "--no-sync"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
        user="postgres",
        group="postgres",
        extra_groups=[],
    )
    resource = make(
        "ocf:heartbeat:pgsql",
        LocalContext(tmp_path / "resources" / "9", name=f"pg{os.getpid()}"),
        pgctl=str(programs[-1].parent / "pg_ctl"),
        psql=str(programs[-1].parent / "psql"),
        pgdata=str(data),
        pgport=free_port(),
        pghost="127.0.0.1",
        socketdir=str(data),
        start_opt="-c fsync=off",
    )
    yield resource
    call(resource.terminate)
    monkeypatch.undo()
    registry.refresh()


def test_a_database_comes_online_is_killed_recovers_and_is_shut_down(database: ResourceDLL) -> None:
    address = f"host=127.0.0.1 port={database['pgport']} user=postgres dbname=template1"
    pid_file = Path(database["pgdata"]) / "postmaster.pid"
    assert "crm_attribute" in database.notice
    with online(database):
        assert call(database.is_alive)
        with psycopg.connect(address) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        pid = int(pid_file.read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not Path(f"/proc/{pid}").exists())
        with pytest.raises(ResourceError, match=r"monitor: it does not run \(exit code 7\)"):
            call(database.is_alive)
        call(database.terminate)
        call(database.online)
        with psycopg.connect(address) as connection:
            row = connection.execute("SELECT answer FROM kept").fetchone()
        assert row == (42,)
        call(database.offline)
        assert not pid_file.exists()
