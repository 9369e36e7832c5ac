"""The built-in types, and agents of the package resource-agents, keep what the plugin API promises."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.conformance import Nursery, check
from tests.resource_dlls.conformance_cases import BUILT_IN, ELSEWHERE, OCF, PATIENT_OCF, Case, Place
from tests.resource_dlls.ocf_agents import use_real_root

ROOT = Path(__file__).parents[2]
PATIENT_CHECKS = ("cycle", "terminate-online", "killed", "adopt")


@contextmanager
def made_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="clusterweb-conformance-"))
    folder.chmod(0o755)
    with ExitStack() as beside:
        yield Place(folder, beside, monkeypatch)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    with made_place(monkeypatch) as made:
        yield made


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(scope="module")
def agents() -> Iterator[Nursery]:
    """The agents of the package are types in this process, and in that from which the suite's are forked."""
    with pytest.MonkeyPatch.context() as environment:
        use_real_root(environment)
        made = Nursery()
        yield made
        made.close()
    registry.refresh()


@pytest.mark.parametrize("type_name", BUILT_IN)
def test_a_built_in_type_conforms(type_name: str, nursery: Nursery, place: Place) -> None:
    case = BUILT_IN[type_name](place)
    shared = nursery if case.shares_nursery else None
    report = check(type_name, case.properties, providers=case.providers, nursery=shared)
    assert report.passed, str(report)


def test_every_built_in_type_is_named_here() -> None:
    found = {
        name
        for name, dll in registry.all_types().items()
        if dll.__module__.startswith("monitoring.resource_dlls.") and not name.startswith("ocf:")
    }
    assert found == set(BUILT_IN) | ELSEWHERE


@pytest.mark.parametrize("agent", OCF)
def test_an_ocf_agent_conforms(agent: str, agents: Nursery, place: Place) -> None:
    case = OCF[agent](place)
    report = check(f"ocf:heartbeat:{agent}", case.properties, providers=case.providers, nursery=agents)
    assert report.passed, str(report)


def started(agent: str, case: Case) -> subprocess.Popen[str]:
    """The command, at work: it mostly waits, and several can do so at once."""
    given = [f"--set={name}={value}" for name, value in case.properties.items()]
    argv = [sys.executable, "-m", "monitoring.resource_dlls.conformance", f"ocf:heartbeat:{agent}", *given]
    argv += [f"--check={name}" for name in PATIENT_CHECKS]
    for folder, place in case.mounted.items():
        script = 'mount --bind "$0" "$1" && shift && exec "$@"'
        argv = ["unshare", "--mount", "sh", "-c", script, str(folder), place, *argv]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.timeout(300)
def test_agents_that_take_seconds_for_each_start_and_stop_conform(
    agents: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as ends:
        running: dict[str, subprocess.Popen[str]] = {}
        for agent, make in PATIENT_OCF.items():
            case = make(ends.enter_context(made_place(monkeypatch)))
            running[agent] = ends.enter_context(started(agent, case))
        said = {agent: command.communicate(timeout=270)[0] for agent, command in running.items()}
    failed = [said[agent] for agent, command in running.items() if command.returncode != 0]
    assert not failed, "\n".join(failed)
    passed = f": {len(PATIENT_CHECKS)} pass"
    assert all(passed in text.splitlines()[-1] for text in said.values()), said
