"""Generic Application and Generic Script run real processes and end them."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from monitoring.resource_dlls.api import PropertyError, Provider, ResourceError
from monitoring.resource_dlls.registry import get
from tests.resource_dlls.context import LocalContext, call, make, online, wait_until

NAME = Provider("name", "Network Name", {"Name": "EVS1"})


def application(context: LocalContext, command: str, **properties):
    return make("Generic Application", context, CommandLine=command, CurrentDirectory="/", **properties)


def test_an_application_runs_until_it_is_taken_offline(tmp_path: Path) -> None:
    context = LocalContext(tmp_path)
    with online(application(context, "sleep 60")) as resource:
        assert call(resource.is_alive)
        assert len(context.pids()) == 1
        call(resource.offline)
        assert context.pids() == []
        assert not call(resource.is_alive)


def test_the_end_of_the_application_fails_it_with_its_exit_code(tmp_path: Path) -> None:
    context = LocalContext(tmp_path)
    with online(application(context, "sh -c 'exit 3'")) as resource:
        wait_until(lambda: not context.pids())
        with pytest.raises(ResourceError, match="exit code 3"):
            call(resource.is_alive)


def test_a_command_that_does_not_exist_fails_to_come_online(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="no-such-program could not be started") as refused:
        call(application(LocalContext(tmp_path), "no-such-program --port 1").online)
    assert refused.value.code == 1039


def test_a_command_with_an_open_quote_is_refused() -> None:
    with pytest.raises(PropertyError) as refused:
        get("Generic Application").clean({"CommandLine": "run 'it", "CurrentDirectory": "/"})
    assert refused.value.field == "CommandLine"


def test_an_application_may_see_the_network_name_as_its_host(tmp_path: Path) -> None:
    context = LocalContext(tmp_path, name="app", providers=[NAME])
    command = "sh -c 'echo $CLUSTERWEB_RESOURCE of $CLUSTERWEB_GROUP on $HOSTNAME; sleep 60'"
    with online(application(context, command, UseNetworkName=True)):
        wait_until(lambda: "app of GROUP on EVS1" in context.output())
    with pytest.raises(ResourceError, match="depends on no Network Name"):
        call(application(LocalContext(tmp_path), "sleep 60", UseNetworkName=True).online)


def test_the_stop_command_is_tried_first(tmp_path: Path) -> None:
    context = LocalContext(tmp_path / "state")
    waiting = f"sh -c 'while [ ! -e {tmp_path}/stop ]; do sleep 0.05; done; echo stopped'"
    with online(application(context, waiting, StopCommand=f"touch {tmp_path}/stop")) as resource:
        call(resource.offline)
        assert "stopped" in context.output()
        assert context.lines == []


def test_an_application_that_does_not_stop_is_ended_by_force(tmp_path: Path) -> None:
    context = LocalContext(tmp_path)
    stubborn = (
        f"""{sys.executable} -c "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)" """
    )
    with online(application(context, stubborn, StopCommand="true", GracePeriod=1)) as resource:
        pids = context.pids()
        started = time.monotonic()
        call(resource.offline)
        assert 0.9 < time.monotonic() - started < 5
        assert context.pids() == []
        assert not Path(f"/proc/{pids[0]}").exists()
        assert "ending it by force" in context.lines[0][1]


def test_a_health_command_has_the_last_word(tmp_path: Path) -> None:
    context = LocalContext(tmp_path / "state")
    ill, hung = tmp_path / "ill", tmp_path / "hung"
    command = f"sh -c 'while [ -e {hung} ]; do sleep 0.1; done; test ! -e {ill}'"
    with online(application(context, "sleep 60", HealthCommand=command, HealthTimeout=1)) as resource:
        assert call(resource.is_alive)
        ill.touch()
        with pytest.raises(ResourceError, match="HealthCommand ended with exit code 1"):
            call(resource.is_alive)
        hung.touch()
        with pytest.raises(ResourceError, match="did not end within 1 s"):
            call(resource.is_alive)
        wait_until(lambda: len(context.pids()) == 1)


def test_variables_reach_the_application(tmp_path: Path) -> None:
    context = LocalContext(tmp_path)
    command = """sh -c 'echo "$ONE, $TWO"; sleep 60'"""
    with online(application(context, command, Environment="ONE=1 'TWO=a = b'")):
        wait_until(lambda: "1, a = b" in context.output())


@pytest.mark.parametrize("wrong", ["ONE", "1X=2", "A-B=1", "CLUSTERWEB_NODE=x", "A='"])
def test_what_is_no_variable_is_refused(wrong: str) -> None:
    with pytest.raises(PropertyError) as refused:
        get("Generic Application").clean(
            {"CommandLine": "true", "CurrentDirectory": "/", "Environment": wrong}
        )
    assert refused.value.field == "Environment"


def test_an_application_runs_as_another_account(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another account")
    context = LocalContext(tmp_path)
    with online(application(context, """sh -c 'echo "$(id -un) $USER"; sleep 60'""", User="nobody")):
        wait_until(lambda: "nobody nobody" in context.output())
    with pytest.raises(ResourceError, match="User: there is no account 'nobody-knows'"):
        call(application(context, "sleep 60", User="nobody-knows").online)


SCRIPT = """#!/bin/sh
echo "$1" >> "$CLUSTERWEB_TRACE"
case "$1" in
    Online) [ -e "$CLUSTERWEB_TRACE.refuse" ] && exit 1; sleep 60 & ;;
    IsAlive) [ -e "$CLUSTERWEB_TRACE.hang" ] && sleep 60; [ ! -e "$CLUSTERWEB_TRACE.ill" ] ;;
    LooksAlive|Offline|Terminate) ;;
    *) exit 3 ;;
esac
"""


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "trace"
    monkeypatch.setenv("CLUSTERWEB_TRACE", str(path))
    return path


def script(tmp_path: Path, context: LocalContext, text: str = SCRIPT, **properties):
    path = tmp_path / "resource.sh"
    path.write_text(text)
    path.chmod(0o755)
    return make("Generic Script", context, ScriptFilePath=str(path), **properties)


def test_a_script_is_called_with_the_name_of_each_entry_point(tmp_path: Path, trace: Path) -> None:
    resource = script(tmp_path, LocalContext(tmp_path / "state"))
    with online(resource):
        assert call(resource.looks_alive)
        assert call(resource.is_alive)
        call(resource.offline)
        assert trace.read_text().split() == ["Open", "Online", "LooksAlive", "IsAlive", "Offline", "Close"]
    assert trace.read_text().split()[6:] == ["Open", "Terminate", "Close"]


def test_a_script_may_say_no(tmp_path: Path, trace: Path) -> None:
    resource = script(tmp_path, LocalContext(tmp_path / "state"))
    Path(f"{trace}.refuse").touch()
    with pytest.raises(ResourceError, match="Online ended with exit code 1"):
        call(resource.online)
    Path(f"{trace}.refuse").unlink()
    with online(resource):
        Path(f"{trace}.ill").touch()
        assert call(resource.looks_alive)
        assert not call(resource.is_alive)


def test_a_script_without_is_alive_fails_with_the_reason(tmp_path: Path, trace: Path) -> None:
    resource = script(tmp_path, LocalContext(tmp_path / "state"), "#!/bin/sh\nexit 3\n")
    with online(resource), pytest.raises(ResourceError, match="IsAlive ended with exit code 3"):
        call(resource.is_alive)


def test_a_hung_call_is_ended_and_others_are_refused_until_terminate(tmp_path: Path, trace: Path) -> None:
    context = LocalContext(tmp_path / "state")
    resource = script(tmp_path, context, CallTimeout=300)
    Path(f"{trace}.hang").touch()
    with online(resource):
        with pytest.raises(ResourceError) as hung:
            call(resource.is_alive)
        with pytest.raises(ResourceError) as refused:
            call(resource.looks_alive)
        assert (hung.value.code, refused.value.code) == (1232, 1233)
        call(resource.terminate)
        assert context.pids() == []
        Path(f"{trace}.hang").unlink()
        call(resource.online)
        assert call(resource.is_alive)


def test_what_a_script_started_ends_with_it(tmp_path: Path, trace: Path) -> None:
    text = f"#!/bin/sh\n[ $1 = Online ] || exit 0\nsleep 60 &\necho $! > {tmp_path}/daemon\n"
    resource = script(tmp_path, LocalContext(tmp_path / "state"), text)
    with online(resource):
        daemon = int((tmp_path / "daemon").read_text())
        os.kill(daemon, 0)
    wait_until(lambda: not Path(f"/proc/{daemon}").exists())
