"""Generic Service starts, watches and stops units of a real systemd, which the test made."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import PropertyError, Provider, ResourceError
from monitoring.resource_dlls.generic_service import unit as units
from monitoring.resource_dlls.generic_service.dll import GenericService
from monitoring.resource_dlls.generic_service.manager import manager
from tests.resource_dlls.context import LocalContext
from tests.resource_dlls.systemd import Systemd, missing

NAME = Provider("name", "Network Name", {"Name": "EVS1"})
SLEEPER = "[Service]\nExecStart=/bin/sleep 600\n"


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systemd]:
    if said := missing():
        pytest.skip(said)
    systemd = Systemd(tmp_path_factory.mktemp("systemd"))
    yield systemd
    systemd.stop()


@pytest.fixture
def systemd(booted: Systemd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", booted.bus)
    monkeypatch.setattr(units, "RUNTIME", booted.folder / "run" / "systemd" / "system")
    monkeypatch.setattr(units, "JOURNAL", ("journalctl", f"--directory={booted.journal}"))
    yield booted
    for instance in _made:
        if instance._reader is not None:
            units.stop_reading(instance._reader)
    _made.clear()


_made: list[GenericService] = []


def service(context: LocalContext, name: str, **properties: Any) -> GenericService:
    dll = registry.get("Generic Service")
    instance = dll(context, dll.clean({"ServiceName": name, **properties}))
    assert isinstance(instance, GenericService)
    _made.append(instance)
    return instance


def played(play: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on one loop, as the agent has one, and close the connection to systemd."""

    async def run() -> None:
        try:
            async with asyncio.timeout(30):
                await play()
        finally:
            manager().close()

    asyncio.run(run())


async def true(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.01)


def test_a_unit_comes_online_and_goes_offline(systemd: Systemd, tmp_path: Path) -> None:
    systemd.unit("plain.service", SLEEPER)
    resource = service(LocalContext(tmp_path), "plain")

    async def play() -> None:
        await resource.open()
        await resource.online()
        assert systemd.run("is-active", "plain") == "active"
        assert await resource.is_alive()
        await resource.offline()
        assert systemd.run("is-active", "plain") == "inactive"
        await resource.close()

    played(play)
    assert resource.context.lines == []  # type: ignore[attr-defined]


def test_a_process_that_dies_fails_the_resource_at_once_and_is_not_restarted_by_systemd(
    systemd: Systemd, tmp_path: Path
) -> None:
    systemd.unit("mortal.service", f"{SLEEPER}Restart=always\nRestartSec=10ms\n")
    context = LocalContext(tmp_path)
    resource = service(context, "mortal")

    async def play() -> None:
        await resource.open()
        await resource.online()
        began = time.monotonic()
        systemd.run("kill", "--signal=KILL", "mortal")
        await true(lambda: context.failures)
        assert time.monotonic() - began < 1
        with pytest.raises(ResourceError, match=r"mortal.service is failed: signal 9 \(SIGKILL\)"):
            await resource.is_alive()
        assert systemd.run("is-active", "mortal") == "failed"
        await resource.terminate()
        assert systemd.run("is-active", "mortal") == "inactive"
        await resource.close()

    played(play)
    assert context.facts == {}
    assert systemd.run("show", "--property=Restart", "mortal") == "Restart=always", "it is as it was before"


def test_what_a_unit_prints_is_its_output_from_its_start_to_its_end(systemd: Systemd, tmp_path: Path) -> None:
    systemd.unit("chatty.service", "[Service]\nExecStart=/bin/sh -c 'echo of an earlier run'\n")
    systemd.run("start", "chatty")
    said = "echo starting; sleep 0.3; echo no room left >&2; exit 3"
    systemd.unit("chatty.service", f"[Service]\nExecStart=/bin/sh -c '{said}'\n")
    context = LocalContext(tmp_path)
    resource = service(context, "chatty")

    async def play() -> None:
        await resource.open()
        await resource.online()
        await true(lambda: context.failures)
        with pytest.raises(ResourceError, match="chatty.service is failed: exit code 3"):
            await resource.is_alive()
        await true(lambda: "no room left" in context.output(), 2)
        lines = [line.rpartition("]: ")[2] for line in context.output().splitlines()]
        assert [line for line in lines if line in ("starting", "no room left")] == [
            "starting",
            "no room left",
        ]
        assert "of an earlier run" not in lines
        reader = resource._reader
        await resource.terminate()
        await true(lambda: reader is not None and reader.returncode is not None)

    played(play)


def test_a_restart_by_systemd_counts_as_a_failure_and_is_warned_of(systemd: Systemd, tmp_path: Path) -> None:
    systemd.unit("twice.service", f"{SLEEPER}Restart=always\nRestartSec=10ms\n")
    stronger = systemd.folder / "etc" / "system" / "twice.service.d" / "99-own.conf"
    stronger.parent.mkdir()
    stronger.write_text("[Service]\nRestart=always\n")
    context = LocalContext(tmp_path)
    resource = service(context, "twice")

    async def play() -> None:
        await resource.open()
        await resource.online()
        assert context.facts["Restart"].level == 1
        systemd.run("kill", "--signal=KILL", "twice")
        await true(lambda: systemd.run("show", "--property=NRestarts", "twice") == "NRestarts=1")
        await true(lambda: systemd.run("is-active", "twice") == "active")
        with pytest.raises(ResourceError, match="systemd has started it again by itself"):
            await resource.is_alive()
        await resource.terminate()
        assert systemd.run("is-active", "twice") == "inactive"

    played(play)


def test_what_runs_already_is_stopped_and_the_history_says_so(systemd: Systemd, tmp_path: Path) -> None:
    systemd.unit("early.service", SLEEPER)
    systemd.run("start", "early")
    context = LocalContext(tmp_path)
    resource = service(context, "early.service")
    played(resource.open)
    assert systemd.run("is-active", "early") == "inactive"
    assert context.lines == [
        (1, "early.service was there before its start (active (running)): it is stopped", 0)
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 3'\n", "exit code 3"),
        (
            "[Service]\nType=notify\nExecStart=/bin/sleep 60\nTimeoutStartSec=300ms\n",
            "time that its unit gives",
        ),
        ("[Service]\nType=oneshot\nExecStart=/bin/true\n", "needs RemainAfterExit=yes"),
        ("[Unit]\nRequires=gone.service\n[Service]\nExecStart=/bin/true\n", "gone.service not found"),
        ("[Unit]\nConditionPathExists=/gone\n[Service]\nExecStart=/bin/sleep 60\n", "condition of its unit"),
    ],
)
def test_a_unit_that_does_not_start_says_why(systemd: Systemd, tmp_path: Path, text: str, said: str) -> None:
    systemd.unit("ill.service", text)
    resource = service(LocalContext(tmp_path), "ill")

    async def play() -> None:
        await resource.open()
        with pytest.raises(ResourceError, match=said):
            await resource.online()
        await resource.terminate()
        await resource.close()

    played(play)


def test_a_unit_that_the_node_does_not_have_is_named(systemd: Systemd, tmp_path: Path) -> None:
    resource = service(LocalContext(tmp_path), "gone")

    async def play() -> None:
        with pytest.raises(ResourceError, match=r"NODE1 has no unit gone.service"):
            await resource.open()
        await resource.terminate()

    played(play)
    systemd.unit("masked.service", SLEEPER)
    (systemd.folder / "etc" / "system" / "masked.service").unlink()
    systemd.run("mask", "masked.service")
    with pytest.raises(ResourceError, match="it is masked"):
        played(service(LocalContext(tmp_path), "masked").open)


def test_a_machine_without_systemd_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/none")
    resource = service(LocalContext(tmp_path), "nginx")

    async def play() -> None:
        with pytest.raises(ResourceError, match="needs systemd and its message bus"):
            await resource.open()
        await resource.terminate()  # what was never started needs no systemd
        await resource.close()

    played(play)


def test_a_start_that_hangs_is_ended_by_terminate(systemd: Systemd, tmp_path: Path) -> None:
    stubborn = "/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'"
    systemd.unit("stuck.service", f"[Service]\nType=notify\nExecStart={stubborn}\nTimeoutSec=infinity\n")
    resource = service(LocalContext(tmp_path), "stuck")

    async def play() -> None:
        await resource.open()
        coming = asyncio.ensure_future(resource.online())
        await true(lambda: systemd.run("is-active", "stuck") == "activating")
        coming.cancel()
        began = time.monotonic()
        await resource.terminate()
        assert time.monotonic() - began < 3
        assert systemd.run("is-active", "stuck") == "inactive"

    played(play)


def test_a_restarted_agent_takes_the_unit_over_without_touching_it(systemd: Systemd, tmp_path: Path) -> None:
    systemd.unit("kept.service", SLEEPER)
    before = service(LocalContext(tmp_path), "kept")

    async def begin() -> None:
        await before.open()
        await before.online()

    played(begin)
    pid = systemd.run("show", "--property=MainPID", "kept")
    context = LocalContext(tmp_path)
    after = service(context, "kept")

    async def go_on() -> None:
        assert await after.adopt()
        assert systemd.run("show", "--property=MainPID", "kept") == pid
        systemd.run("kill", "--signal=KILL", "kept")
        await true(lambda: context.failures)
        await after.terminate()
        with pytest.raises(ResourceError, match="kept.service is inactive"):
            await service(context, "kept").adopt()

    played(go_on)


def test_what_a_dead_agent_left_is_swept(systemd: Systemd, tmp_path: Path) -> None:
    systemd.unit("left.service", f"{SLEEPER}Restart=always\nRestartSec=10ms\n")
    resource = service(LocalContext(tmp_path), "left")

    async def begin() -> None:
        await resource.open()
        await resource.online()

    played(begin)
    GenericService.sweep(tmp_path)
    assert systemd.run("is-active", "left") == "inactive"
    assert not (units.RUNTIME / "left.service.d").exists()
    GenericService.sweep(tmp_path)  # there is nothing left to do


def test_a_unit_that_starts_at_boot_is_warned_of_until_it_is_disabled(
    systemd: Systemd, tmp_path: Path
) -> None:
    systemd.unit("eager.service", f"{SLEEPER}[Install]\nWantedBy=test.target\n")
    systemd.run("enable", "eager")
    context = LocalContext(tmp_path)
    resource = service(context, "eager")

    async def play() -> None:
        await resource.open()
        await resource.online()
        assert context.facts["Start at boot"].level == 1
        assert "systemctl disable eager.service" in context.facts["Start at boot"].text
        systemd.run("disable", "eager")
        assert await resource.is_alive()
        assert context.facts == {}
        await resource.terminate()

    played(play)


def test_a_socket_that_would_start_the_unit_again_is_warned_of(systemd: Systemd, tmp_path: Path) -> None:
    systemd.unit("lazy.service", SLEEPER)
    systemd.unit("lazy.socket", f"[Socket]\nListenStream={systemd.folder}/lazy\n")
    systemd.run("start", "lazy.socket")
    context = LocalContext(tmp_path)
    resource = service(context, "lazy")

    async def play() -> None:
        await resource.open()
        await resource.online()
        assert "systemctl disable --now lazy.socket" in context.facts["Started by"].text
        await resource.terminate()

    played(play)
    systemd.run("stop", "lazy.socket")


def test_a_template_gets_its_instance_and_the_network_name_as_its_host(
    systemd: Systemd, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    systemd.unit(
        "tunnel@.service", f"[Service]\nExecStart=/bin/sh -c 'echo %I $HOSTNAME > {said}; exec sleep 60'\n"
    )
    context = LocalContext(tmp_path / "state", providers=[NAME])
    resource = service(context, "tunnel@", StartupParameters="to/berlin", UseNetworkName=True)

    async def play() -> None:
        await resource.open()
        await resource.online()
        await true(said.exists)
        await true(said.read_text)
        assert said.read_text().split() == ["to/berlin", "EVS1"]
        await resource.terminate()
        await resource.close()

    played(play)
    assert not list(units.RUNTIME.glob("tunnel*"))


def test_a_restart_outside_of_the_cluster_is_told_and_is_no_failure(systemd: Systemd, tmp_path: Path) -> None:
    systemd.unit("handled.service", SLEEPER)
    context = LocalContext(tmp_path)
    resource = service(context, "handled")

    async def play() -> None:
        await resource.open()
        await resource.online()
        systemd.run("restart", "handled")
        assert await resource.is_alive()
        assert context.lines == [(1, "handled.service was restarted outside of the cluster", 0)]
        await resource.terminate()

    played(play)


def test_a_message_bus_that_restarts_costs_no_resource(systemd: Systemd, tmp_path: Path) -> None:
    systemd.unit("steady.service", SLEEPER)
    context = LocalContext(tmp_path)
    resource = service(context, "steady")

    async def play() -> None:
        await resource.open()
        await resource.online()
        systemd.run("stop", "dbus.service", "dbus.socket")
        await true(lambda: manager()._bus is None)
        assert await resource.is_alive()
        assert "systemd does not say" in context.facts["Service manager"].text
        systemd.run("start", "dbus.service")
        await true(lambda: manager()._bus is not None)
        assert await resource.is_alive()
        assert context.facts == {}
        systemd.run("kill", "--signal=KILL", "steady")
        await true(lambda: context.failures)
        await resource.terminate()

    played(play)


@pytest.mark.parametrize("words", [["stop", units.AGENT], ["stop", units.AGENT, "late.service"]])
@pytest.mark.parametrize("by_force", [False, True])
def test_an_agent_that_systemd_stops_takes_its_units_offline_first(
    systemd: Systemd, tmp_path: Path, words: list[str], by_force: bool
) -> None:
    """Also where the machine shuts down, and systemd has asked both to stop: the unit waits for the agent."""
    going = tmp_path / "going"
    script = f"trap 'touch {going}' TERM; until [ -e {tmp_path}/gone ]; do sleep 0.02; done"
    systemd.unit(
        units.AGENT, f'[Service]\nExecStart=/bin/sh -c "{script}"\nKillMode=process\nTimeoutStopSec=20\n'
    )
    systemd.unit("late.service", SLEEPER)
    systemd.run("start", units.AGENT)
    resource = service(LocalContext(tmp_path / "state"), "late")

    async def play() -> None:
        await resource.open()
        await resource.online()
        systemd.run("--no-block", *words)
        await true(going.exists)
        assert systemd.run("is-active", "late") == "active", "it is left to the agent"
        began = time.monotonic()
        await (resource.terminate() if by_force else resource.offline())
        assert time.monotonic() - began < 3
        assert systemd.run("is-active", "late") == "inactive"
        (tmp_path / "gone").touch()
        await true(lambda: systemd.run("is-active", units.AGENT) == "inactive")

    played(play)


@pytest.mark.parametrize(
    ("properties", "field"),
    [
        ({"ServiceName": "a b"}, "ServiceName"),
        ({"ServiceName": "../x"}, "ServiceName"),
        ({"ServiceName": "clusterweb-agent.service"}, "ServiceName"),
        ({"ServiceName": "openvpn@"}, "StartupParameters"),
        ({"ServiceName": "nginx", "StartupParameters": "-g"}, "StartupParameters"),
    ],
)
def test_a_name_that_cannot_be_a_unit_is_refused(properties: dict[str, str], field: str) -> None:
    with pytest.raises(PropertyError) as refused:
        GenericService.clean(properties)
    assert refused.value.field == field


def test_an_instance_is_written_as_systemd_escape_writes_it() -> None:
    for text in ("berlin", "to/berlin", "a b-c", ".x", "ä:1_2.3"):
        expected = subprocess.run(["systemd-escape", "--", text], capture_output=True, text=True, check=True)
        assert units.escaped(text) == expected.stdout.strip()
