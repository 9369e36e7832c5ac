"""The Redis Server resource with the real servers, Redis and Valkey."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from clusterweb.run.broker import find_server
from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.redis_server.resp import ask
from monitoring.resource_dlls.registry import get
from tests.resource_dlls.context import LocalContext, call, online, wait_until
from tests.resource_dlls.databases import Group, group

TYPE = "Redis Server"
PASSWORD = 'sec"ret \\ wörd'


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Group]:
    with group(tmp_path / "private") as made:
        yield made


@pytest.fixture(params=["redis", "valkey"])
def program(request: pytest.FixtureRequest) -> str:
    found = shutil.which("redis-server") if request.param == "redis" else find_server()
    if found is None:
        pytest.skip("needs the package redis-server (make packages)")
    return found


def client(place: Group, password: str | None = None) -> redis.Redis:
    return redis.Redis(place.address, 6379, password=password, socket_timeout=5, decode_responses=True)


def account(place: Group, program: str) -> dict[str, str]:
    """The embedded server may lie where only root goes."""
    return {"User": "root"} if os.geteuid() == 0 and "valkey" in program else {}


def test_what_was_written_is_there_on_the_next_node(place: Group, program: str) -> None:
    properties = {"Program": program, "Password": PASSWORD, **account(place, program)}
    context = place.context()
    with online(place.resource(TYPE, context, **properties)) as resource:
        assert call(resource.is_alive)
        client(place, PASSWORD).set("kept", "forty-two")
        assert context.facts["Clients"].text.startswith("1 of ")
        assert context.facts["Version"].text.split()[0] == ("Redis" if "redis" in program else "Valkey")
        call(resource.offline)
        assert context.pids() == []
        assert not call(resource.is_alive)
    later = place.context("NODE2", epoch=2)
    with online(place.resource(TYPE, later, **properties)):
        assert client(place, PASSWORD).get("kept") == "forty-two"
        assert client(place, PASSWORD).get("clusterweb:probe") == "NODE2 2"


def test_a_killed_server_is_seen_and_loses_nothing_that_was_acknowledged(place: Group) -> None:
    context = place.context()
    resource = place.resource(TYPE, context, AppendFsync="always")
    call(resource.online)
    client(place).set("kept", "1")
    (process,) = context.watched()
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: process.returncode is not None)
    with pytest.raises(ResourceError, match="the server ended with signal 9"):
        call(resource.is_alive)
    call(resource.terminate)
    call(resource.online)
    assert client(place).get("kept") == "1"


def test_the_password_is_in_no_argument_and_in_no_file_that_others_read(place: Group) -> None:
    context = place.context()
    with online(place.resource(TYPE, context, Password="Xq7-secret")):
        (process,) = context.watched()
        running = psutil.Process(process.pid)
        assert "Xq7" not in " ".join(running.cmdline()) + str(running.environ())
        settings = context.state_dir / "server.conf"
        assert "Xq7" in settings.read_text()
        assert stat.S_IMODE(settings.stat().st_mode) == 0o600
        if os.geteuid() == 0:
            assert running.username() == "redis"
        (answer,) = asyncio.run(ask(place.address, 6379, ["PING"]))
        assert str(answer).startswith("NOAUTH")
    assert "Xq7" not in context.output()


def test_a_frozen_server_fails_within_the_probes_time(place: Group) -> None:
    context = place.context()
    resource = place.resource(TYPE, context, ProbeTimeout=1)
    call(resource.online)
    (process,) = context.watched()
    os.kill(process.pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(ResourceError, match="did not answer within 1 s"):
        call(resource.is_alive)
    assert time.monotonic() - began < 3
    call(resource.terminate)
    assert context.pids() == []


def test_a_full_memory_is_a_warning_and_no_failure(place: Group) -> None:
    context = place.context()
    with online(place.resource(TYPE, context, MaxMemory=100)) as resource:
        assert context.facts["Memory"].level == 0
        client(place).config_set("maxmemory", "500kb")
        assert call(resource.is_alive)
        assert context.facts["Writes"].level == context.facts["Memory"].level == 1
        assert context.facts["Memory"].share == 1.0
        client(place).config_set("maxmemory", "100mb")
        assert call(resource.is_alive)
        assert "Writes" not in context.facts
        assert context.facts["Memory"].level == 0


def test_a_snapshot_of_an_earlier_server_is_read_and_an_append_only_file_begun(
    place: Group, program: str
) -> None:
    properties = {"Program": program, **account(place, program)}
    before = place.resource(TYPE, place.context(), AppendOnly=False, **properties)
    call(before.online)
    client(place).set("kept", "1")
    client(place).save()
    call(before.offline)
    context = place.context("NODE2")
    after = place.resource(TYPE, context, **properties)
    call(after.online)
    assert client(place).get("kept") == "1"
    assert [text for _, text, _ in context.lines] == [
        "It has read its snapshot, and keeps an append-only file from now on"
    ]
    client(place).set("kept", "2")
    (process,) = context.watched()
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: process.returncode is not None)
    call(after.terminate)
    call(after.online)
    assert client(place).get("kept") == "2"
    call(after.offline)
    with pytest.raises(ResourceError, match="has an append-only file, which a server without AppendOnly"):
        call(before.online)


def test_a_replica_takes_no_writes_and_fails(place: Group) -> None:
    with online(place.resource(TYPE, place.context())) as resource:
        client(place).replicaof("127.0.0.1", 1)
        with pytest.raises(ResourceError, match=r"it is a replica of 127\.0\.0\.1"):
            call(resource.is_alive)


def test_a_server_of_somebody_else_is_not_taken_for_this_one(place: Group, tmp_path: Path) -> None:
    with online(place.resource(TYPE, place.context())):
        other = place.resource(
            TYPE, place.context("NODE2"), DataDirectory=str(place.disk / "other"), ProbeTimeout=2
        )
        with pytest.raises(ResourceError, match="another server answers|in use"):
            call(other.online)


def test_loading_is_told_while_it_comes_up(place: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = place.resource(TYPE, place.context(), AppendOnly=False)
    call(resource.online)
    filler = client(place)
    with filler.pipeline(transaction=False) as pipe:
        for number in range(200):
            pipe.rpush(f"list{number}", *range(1000))
        pipe.execute()
    filler.save()
    call(resource.terminate)
    slow = place.disk / "slow.conf"
    slow.write_text("key-load-delay 3000\nloading-process-events-interval-bytes 1024\n")
    told: list[str] = []
    context = place.context()
    monkeypatch.setattr(context, "progress", told.append)
    with online(place.resource(TYPE, context, AppendOnly=False, ConfigFile=str(slow))):
        assert client(place).llen("list7") == 1000
    assert any(text.startswith("loading the data, ") for text in told), told


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"DataDirectory": "/var/tmp"}, "DataDirectory: /var/tmp is not on the group's disk"),
        ({"Program": "/no/such"}, "Program: /no/such cannot be executed"),
        ({"User": "nobody-of-this-name"}, "User: there is no account 'nobody-of-this-name'"),
        ({"ConfigFile": "/no/such.conf"}, "the server ended with exit code 1: .*no/such.conf"),
    ],
)
def test_what_keeps_it_from_coming_online_is_said(
    place: Group, properties: dict[str, str], reason: str
) -> None:
    with pytest.raises(ResourceError, match=reason):
        call(place.resource(TYPE, place.context(), **properties).online)


def test_a_running_server_is_taken_over(place: Group) -> None:
    context: LocalContext = place.context()
    with online(place.resource(TYPE, context)):
        dll = get(TYPE)
        successor = dll(context, dll.clean({}))
        assert call(successor.adopt)
        assert call(successor.is_alive)
