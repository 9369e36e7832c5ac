"""The PostgreSQL Server resource with a real server: started, asked, killed, frozen, moved."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from monitoring.resource_dlls.api import PropertyError, ResourceDLL, ResourceError
from monitoring.resource_dlls.postgresql import directory, session
from monitoring.resource_dlls.postgresql.startup import CANNOT_CONNECT_NOW, Greeting
from monitoring.resource_dlls.registry import get
from tests.resource_dlls.context import LocalContext, call, online, wait_until
from tests.resource_dlls.databases import POSTGRES, Group, give_to_postgres, group, make_database
from tests.resource_dlls.endpoints import scripted

TYPE = "PostgreSQL Server"
QUICK = "-c fsync=off -c shared_buffers=16MB"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A database that initdb has just made, to be copied."""
    with group(tmp_path_factory.mktemp("template") / "private") as made:
        data = made.disk / "postgresql"
        make_database(data)
        yield data


@pytest.fixture
def place(fresh: Path, tmp_path: Path) -> Iterator[Group]:
    with group(tmp_path / "private") as made:
        subprocess.run(["cp", "-a", fresh, made.disk], check=True)
        yield made


def server(place: Group, context: LocalContext, **properties: Any) -> ResourceDLL:
    return place.resource(TYPE, context, **{"Options": QUICK, **properties})


def connect(place: Group, **more: Any) -> psycopg.Connection:
    return psycopg.connect(
        host=place.address, port=5432, user="postgres", dbname="postgres", autocommit=True, **more
    )


def data_of(place: Group) -> Path:
    return place.disk / "postgresql"


def running(place: Group) -> list[int]:
    return list(directory.processes(str(data_of(place))))


def test_what_was_committed_is_there_on_the_next_node(place: Group) -> None:
    context = place.context()
    with online(server(place, context)) as resource:
        assert call(resource.is_alive)
        with connect(place) as client:
            client.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        assert context.facts["Version"].text.startswith("PostgreSQL 1")
        assert context.facts["Connections"].text.endswith(" of 100")
        assert all(fact.level == 0 for fact in context.facts.values())
        (process,) = context.watched()
        if POSTGRES:
            assert psutil.Process(process.pid).username() == "postgres"
        call(resource.offline)
        assert process.returncode == 0
        assert running(place) == [] and context.lines == []
        assert not call(resource.is_alive)
    with online(server(place, place.context("NODE2", epoch=2))), connect(place) as client:
        assert client.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_backends_do_not_outlive_a_server_that_was_killed(place: Group) -> None:
    context = place.context()
    resource = server(place, context)
    call(resource.online)
    (process,) = context.watched()
    with closing(connect(place)) as busy:
        busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 10000000000)")
        wait_until(lambda: any(_is_busy(pid) for pid in running(place)))
        os.kill(process.pid, signal.SIGKILL)
        wait_until(lambda: process.returncode is not None)
        with pytest.raises(ResourceError, match="the server ended with signal 9"):
            call(resource.is_alive)
        assert running(place), "a backend that is busy does not see the end of its server"
        call(resource.terminate)
        assert running(place) == []
    call(resource.online)
    assert call(resource.is_alive)


def _is_busy(pid: int) -> bool:
    with suppress(OSError):
        return b" SELECT" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def test_what_a_dead_agent_left_is_ended_by_the_sweep(place: Group) -> None:
    context = place.context()
    call(server(place, context).online)
    assert running(place)
    get(TYPE).sweep(context.state_dir)
    assert running(place) == []
    get(TYPE).sweep(context.state_dir)


def test_a_pid_file_that_names_another_program_by_now_is_no_hindrance(place: Group) -> None:
    other = subprocess.Popen(["sleep", "60"], **POSTGRES)
    try:
        stale = data_of(place) / "postmaster.pid"
        stale.write_text(f"{other.pid}\n{data_of(place)}\n1700000000\n5432\n\n{place.address}\n")
        give_to_postgres(stale)
        context = place.context()
        with online(server(place, context)) as resource:
            assert call(resource.is_alive)
        assert f"named process {other.pid}, another program by now" in context.lines[0][1]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_database_that_runs_already_is_refused(place: Group) -> None:
    context = place.context()
    with online(server(place, context)):
        (process,) = context.watched()
        second = server(place, place.context("NODE2"))
        with pytest.raises(ResourceError, match=f"process {process.pid} runs this database already"):
            call(second.online)
        call(second.terminate)
        assert process.returncode is None


def test_a_server_that_somebody_started_by_hand_is_left_alone(place: Group) -> None:
    context = place.context()
    resource = server(place, context)
    call(resource.online)
    command = psutil.Process(context.watched()[0].pid).cmdline()
    call(resource.offline)
    by_hand = subprocess.Popen(command, stderr=subprocess.DEVNULL, **POSTGRES)
    try:
        wait_until(lambda: by_hand.pid in running(place))
        with pytest.raises(ResourceError, match=f"process {by_hand.pid} runs this database already"):
            call(resource.online)
        call(resource.terminate)
        note = context.state_dir / "postgresql.json"
        note.write_text(json.dumps({"data": str(data_of(place)), "boot": "an earlier one"}))
        call(server(place, context).open)
        assert not note.exists()
        assert by_hand.poll() is None
    finally:
        by_hand.terminate()
        by_hand.wait()


def test_a_frozen_server_fails_within_the_probes_time_and_is_ended(place: Group) -> None:
    context = place.context()
    resource = server(place, context, ProbeTimeout=1)
    call(resource.online)
    (process,) = context.watched()
    os.kill(process.pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(ResourceError, match="did not answer within 1 s"):
        call(resource.is_alive)
    assert time.monotonic() - began < 3
    call(resource.terminate)
    assert running(place) == []


def test_a_question_that_is_not_answered_is_given_up(place: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    with online(server(place, place.context(), ProbeTimeout=1)) as resource:
        monkeypatch.setattr(session, "_QUESTION", "SELECT pg_sleep(30)")
        began = time.monotonic()
        with pytest.raises(ResourceError, match="did not answer within 1 s"):
            call(resource.is_alive)
        assert time.monotonic() - began < 3


def test_a_standby_is_healthy_only_where_it_may_be_one(place: Group) -> None:
    (data_of(place) / "standby.signal").touch()
    give_to_postgres(data_of(place) / "standby.signal")
    refused = server(place, place.context())
    with pytest.raises(ResourceError, match="it is a standby"):
        call(refused.online)
    call(refused.terminate)
    context = place.context("NODE2")
    with online(server(place, context, AllowStandby=True)) as resource:
        assert call(resource.is_alive)
        assert context.facts["Role"].text == "standby: it only reads"


def test_what_it_waits_for_is_told_while_it_recovers(place: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    (data_of(place) / "recovery.signal").touch()
    give_to_postgres(data_of(place) / "recovery.signal")
    told: list[str] = []
    context = place.context()
    monkeypatch.setattr(context, "progress", told.append)
    options = f"{QUICK} -c restore_command='sleep 0.3; false'"
    with online(server(place, context, Options=options)) as resource:
        assert call(resource.is_alive)
    assert any("waiting for 0000" in text and "MiB read" in text for text in told), told


def test_a_login_that_is_refused_is_a_warning_and_moves_no_group(place: Group) -> None:
    context = place.context()
    with online(server(place, context)) as resource:
        with connect(place) as client:
            client.execute("ALTER ROLE postgres PASSWORD 'right'")
            (data_of(place) / "pg_hba.conf").write_text("host all all all scram-sha-256\n")
            client.execute("SELECT pg_reload_conf()")
            wait_until(lambda: _is_refused(place))
        assert call(resource.is_alive)
        assert context.facts["Probe"].level == 1
        assert "the login fails" in context.facts["Probe"].text
        call(resource.offline)
    wrong, right = place.context("NODE2"), place.context("NODE3")
    with online(server(place, wrong, ProbePassword="wrong-word")):
        assert 'password authentication failed for user "postgres"' in wrong.facts["Probe"].text
        assert "wrong-word" not in str(wrong.facts) + wrong.output()
    with online(server(place, right, ProbePassword="right")) as resource:
        assert call(resource.is_alive)
        assert "Probe" not in right.facts


def _is_refused(place: Group) -> bool:
    try:
        connect(place).close()
    except psycopg.OperationalError:
        return True
    return False


def _last_connection(place: Group) -> psycopg.Connection:
    """The one that IsAlive has just used, once its process is gone."""
    while True:
        with suppress(psycopg.OperationalError):
            return connect(place)
        time.sleep(0.02)


def test_connections_that_are_all_in_use_are_a_warning(place: Group) -> None:
    context = place.context()
    options = f"{QUICK} -c max_connections=4 -c superuser_reserved_connections=0 -c max_wal_senders=0"
    with online(server(place, context, Options=options)) as resource, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(_last_connection(place))
        assert call(resource.is_alive)
        assert (context.facts["Connections"].text, context.facts["Connections"].level) == ("4 of 4", 1)
        stack.enter_context(_last_connection(place))
        assert call(resource.is_alive)
        assert context.facts["Connections"].text == "all in use"


def test_a_server_that_recovers_by_itself_is_given_its_time(place: Group) -> None:
    context = place.context()
    resource: Any = server(place, context, RecoveryTimeout=60)
    with online(resource):
        with connect(place) as client:
            row = client.execute("SELECT pg_backend_pid()").fetchone()
            assert row is not None
            os.kill(row[0], signal.SIGKILL)
        wait_until(lambda: call(resource.is_alive) and "Recovery" not in context.facts)
        recovering = Greeting(CANNOT_CONNECT_NOW, "the database system is in recovery mode")
        resource._check_recovery(recovering, 100.0)
        assert context.facts["Recovery"].level == 1
        resource._check_recovery(recovering, 159.0)
        with pytest.raises(ResourceError, match="takes no connections for 60 s"):
            resource._check_recovery(recovering, 160.0)
        resource._check_recovery(Greeting(), 161.0)
        assert "Recovery" not in context.facts


def test_a_running_server_is_taken_over(place: Group) -> None:
    context = place.context()
    with online(server(place, context)):
        dll = get(TYPE)
        successor = dll(context, dll.clean({}))
        assert call(successor.adopt)
        assert call(successor.is_alive)


def test_each_isalive_reaches_the_disk_and_needs_no_privileges(place: Group) -> None:
    context = place.context()
    resource = server(place, context, ProbeUser="clusterweb")
    with online(resource), connect(place) as client:
        assert context.facts["Probe"].text.endswith('role "clusterweb" does not exist')
        client.execute("CREATE ROLE clusterweb LOGIN")
        assert call(resource.is_alive)
        assert "Probe" not in context.facts
        before = client.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        assert call(resource.is_alive)
        after = client.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        assert before != after


def test_what_keeps_it_from_coming_online_is_said(place: Group) -> None:
    def refusal(**properties: Any) -> str:
        with pytest.raises(ResourceError) as refused:
            call(server(place, place.context(), **properties).online)
        return str(refused.value)

    assert "is not on the group's disk" in refusal(DataDirectory="/var/lib/postgresql")
    (place.disk / "empty").mkdir()
    assert "make one there with initdb" in refusal(DataDirectory=str(place.disk / "empty"))
    assert "unrecognized configuration parameter" in refusal(Options="-c no_such_setting=1")
    assert "no postgres in /nowhere" in refusal(ProgramDirectory="/nowhere")
    if POSTGRES:
        os.chown(data_of(place), 0, 0)
        assert "belongs to root, and PostgreSQL does not run as root" in refusal()
    (data_of(place) / "PG_VERSION").write_text("9.0\n")
    assert "PostgreSQL 9.0, which made the database, is not installed on this node" in refusal()


def test_options_with_an_open_quote_are_refused() -> None:
    with pytest.raises(PropertyError) as refused:
        get(TYPE).clean({"Options": "-c 'x"})
    assert refused.value.field == "Options"


def test_a_port_of_another_program_is_told_from_a_database(place: Group) -> None:
    with scripted(place.address, [(b"clusterweb", b"HTTP/1.1 400 Bad\r\n\r\n")]) as port:
        resource: Any = server(place, place.context(), Port=port)
        with pytest.raises(ResourceError, match="does not speak PostgreSQL's protocol"):
            asyncio.run(resource.check_health())
