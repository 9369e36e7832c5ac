"""The conformance suite passes a type that keeps its promises, and names the one that another breaks."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from monitoring.node import marks
from monitoring.resource_dlls.api import ResourceDLL
from monitoring.resource_dlls.conformance import CHECKS, InputError, Nursery, Outcome, check
from tests.conformance import types
from tests.resource_dlls.context import free_address

ROOT = Path(__file__).parents[2]
MODULE = "tests.conformance.types"


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def some_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def values(dll: type[ResourceDLL]) -> dict[str, object]:
    """What the suite is given for a type of these tests."""
    names = {prop.name for prop in dll.properties}
    given: dict[str, object] = {"Address": free_address()}
    given |= {"Path": "relative"} if "Path" in names else {}
    return given | ({"Port": some_port(), "Word": "a word that nobody knows"} if "Port" in names else {})


@pytest.mark.parametrize("dll", [types.Good, types.Plain, types.Daemon, types.Wipes])
def test_a_type_that_keeps_every_promise_passes(dll: type[ResourceDLL], nursery: Nursery) -> None:
    report = check(dll, values(dll), nursery=nursery)
    assert report.passed, report
    assert [result.check for result in report.results] == list(CHECKS)


def test_what_says_nothing_about_a_type_is_not_applicable_with_the_reason(nursery: Nursery) -> None:
    report = check(types.Plain, values(types.Plain), nursery=nursery)
    told = {r.check: r.text for r in report.results if r.outcome is Outcome.NOT_APPLICABLE}
    assert told == {
        "secret-words": "it has no secret property",
        "killed": "no process runs while it is online",
        "adopt": "it has no adopt(): a restarted agent takes it offline and online again, which worked",
        "loop": "it has no async entry point",
        "secrets": "it has no secret property",
    }


@pytest.mark.parametrize(
    ("dll", "broken", "text"),
    [
        (types.Nameless, "class", "is no name"),
        (types.NoText, "properties", "Mystery has no help text"),
        (types.BadDefault, "properties", "the default of property Size is '12', and its clean form 12"),
        (types.WrongField, "values", "'Prot', which is no property"),
        (types.Careless, "values", "raises AttributeError"),
        (types.Changes, "round-trip", "Port is another value"),
        (types.Quotes, "secret-words", "a wrong Word quotes it"),
        (types.OnlineAtOpen, "cycle", "after Open there is still: process"),
        (types.NotAliveAtFirst, "cycle", "IsAlive said no just after Online"),
        (types.CannotComeAgain, "cycle", "it was online once"),
        (types.OfflineLeaves, "cycle", "after Offline there is still: process"),
        (types.Silent, "cycle", "Online reported nothing for 0.3 s"),
        (types.OfflineOnce, "offline-twice", "nothing runs"),
        (types.NeedsOpen, "terminate-at-rest", "Terminate: AttributeError"),
        (types.StartsAfterTerminate, "terminate-online", "there is still: an open file of the agent"),
        (types.Unwatched, "killed", "its processes were killed"),
        (types.AdoptsNothing, "adopt", "adopt() returned True, and of its processes"),
        (types.NoSweep, "sweep", "it is there already"),
        (types.SweepFails, "sweep", "it resists"),
        (types.Blocks, "loop", "IsAlive stops the monitor's loop"),
        (types.Talkative, "secrets", "Word stands in a text: the password is …"),
        (types.OnCommandLine, "secrets", "Word stands on a command line"),
    ],
)
def test_a_broken_promise_is_named(
    dll: type[ResourceDLL], broken: str, text: str, nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.conformance.lives.NOTICED_BY_PROBE", 1.2)
    monkeypatch.setattr("monitoring.conformance.lives.NOTICED_BY_WATCH", 1.2)
    monkeypatch.setattr("monitoring.conformance.running.NOTHING_LEFT_WITHIN", 0.1)
    monkeypatch.setattr("monitoring.conformance.direct.STRAY_LIMIT", 0.02)
    report = check(dll, values(dll), checks=[broken], nursery=nursery)
    failure = next(failure for failure in report.failures if failure.check == broken)
    assert text in failure.text
    assert failure.advice


def test_a_daemon_that_hides_is_found_by_its_port(
    nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "escaped"
    monkeypatch.setenv("CONFORMANCE_ESCAPED", str(note))
    monkeypatch.setattr("monitoring.conformance.running.NOTHING_LEFT_WITHIN", 0.1)
    given = values(types.Escapes)
    try:
        report = check(types.Escapes, given, checks=["cycle"], nursery=nursery)
        (failure,) = report.failures
        assert f"the listening port tcp {given['Address']}:{given['Port']}" in failure.text
    finally:
        for pid in note.read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def test_what_cannot_come_online_is_tried_no_further() -> None:
    report = check(types.Silent, values(types.Silent))
    assert [failure.check for failure in report.failures] == ["cycle"]
    told = {r.text for r in report.results if r.check in ("terminate-online", "adopt", "sweep", "loop")}
    assert told == {"the check cycle comes first"}


def test_what_a_type_depends_on_is_brought_online_before_it(nursery: Nursery) -> None:
    address = free_address()
    holder = (types.Plain, {"Address": address})
    report = check(types.Good, {"Port": some_port(), "Address": address}, providers=[holder], nursery=nursery)
    assert report.passed, report
    with pytest.raises(InputError, match="Test Plain, which the resource depends on, did not come online"):
        check(types.Good, {"Port": some_port()}, providers=[holder, holder], nursery=nursery)


def test_the_command_says_what_each_check_found_and_ends_with_0_1_or_2() -> None:
    good = command(f"{MODULE}:Good", "--set", f"Port={some_port()}", "--set", f"Address={free_address()}")
    assert (good.returncode, good.stderr) == (0, "")
    checked = re.findall(r"^(?:pass|not applicable) +(\S+) +\d+ ms", good.stdout, re.MULTILINE)
    assert checked == list(CHECKS)
    summary = good.stdout.splitlines()[-1]  # a busy machine is warned of
    assert re.fullmatch(r"Test Good: 16 pass, 1 not applicable(, \d+ warnings?)?", summary), summary

    broken = command(f"{MODULE}:NoText", "--set", "Port=1", "--check", "properties", "--json")
    assert broken.returncode == 1
    (result,) = json.loads(broken.stdout)["checks"]
    assert (result["outcome"], result["text"]) == ("fail", "property Mystery has no help text")
    assert result["advice"] == "say in a few words what the value is for, and its form"


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ([], "name a resource type"),
        (["No Such Type"], "no resource DLL offers the type 'No Such Type'"),
        (["no_such_module:Type"], "no_such_module:Type cannot be imported: ModuleNotFoundError"),
        ([f"{MODULE}:SERVER"], "is no class that is derived from ResourceDLL"),
        ([f"{MODULE}:Good"], "property Port: a value is required"),
        ([f"{MODULE}:Good", "--set", "Port"], "'Port' is not of the form Property=value"),
        ([f"{MODULE}:Good", "--set", "Port=1", "--check", "luck"], "there is no check luck"),
    ],
)
def test_bad_input_is_exit_code_2_with_the_reason(argv: list[str], text: str, capfd, monkeypatch) -> None:
    from monitoring.conformance.command import main

    monkeypatch.chdir(ROOT)
    assert main(argv) == 2
    assert text in capfd.readouterr().err


def test_nothing_of_a_suite_that_was_killed_runs_on(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from monitoring.conformance import Nursery;"
        "from monitoring.conformance.subject import make; from tests.conformance.types import Good;"
        "Nursery().start(Path(sys.argv[1]), make(Good, {'Port': sys.argv[2]}));"
        "print('online', flush=True); time.sleep(60)"
    )
    argv = [sys.executable, "-c", program, str(tmp_path), str(some_port())]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as suite:
        assert suite.stdout is not None
        assert suite.stdout.readline() == "online\n"
        assert marks.scan(str(tmp_path))
        suite.kill()
    for _ in range(500):
        if not marks.scan(str(tmp_path)):
            return
        time.sleep(0.01)
    raise AssertionError("it runs on")


def command(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "monitoring.resource_dlls.conformance", *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
