"""The agent's systemd unit leaves to the next agent what it shall take over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.harness import ROOT, until
from tests.resource_dlls.systemd import Systemd, missing

UNIT = ROOT / "deploy" / "clusterweb-agent.service"
KEPT = ("KillMode", "Delegate", "Restart", "RestartSec", "OOMScoreAdjust")
"""Settings of the unit that decide about what runs; it starts something small in the agent's place."""
AGENT = """#!/bin/sh
group=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/r-1
if mkdir "$group" 2> /dev/null; then
    sh -c 'echo 0 > "$0/cgroup.procs"; exec setsid sleep 1000' "$group" &
fi
until [ -n "$(cat "$group/cgroup.procs")" ]; do sleep 0.01; done
cat "$group/cgroup.procs" >> {folder}/found
echo $$ >> {folder}/agents
exec sleep 1000
"""


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    if said := missing():
        pytest.skip(said)
    booted = Systemd(tmp_path / "systemd")
    yield booted
    booted.stop()


def settings() -> list[str]:
    lines = [line for line in UNIT.read_text().splitlines() if line.partition("=")[0] in KEPT]
    assert len(lines) == len(KEPT)
    return lines


def test_what_runs_in_control_groups_outlives_the_agent_and_is_found_by_the_next(
    systemd: Systemd, tmp_path: Path
) -> None:
    script = tmp_path / "agent"
    script.write_text(AGENT.format(folder=tmp_path))
    script.chmod(0o755)
    lines = "\n".join(settings())
    systemd.unit(
        "agent.service", f"[Unit]\nStartLimitIntervalSec=0\n[Service]\n{lines}\nExecStart={script}\n"
    )
    systemd.run("start", "agent.service")
    agents, found = tmp_path / "agents", tmp_path / "found"
    until(lambda: agents.exists() and agents.read_text(), 10)
    systemd.run("kill", "--kill-whom=main", "--signal=KILL", "agent.service")
    until(lambda: len(agents.read_text().split()) == 2, 10, "the next agent")
    first, second = found.read_text().split()
    assert first == second, "the same process, in the same group"
    systemd.run("stop", "agent.service")
    assert systemd.run("is-active", "agent.service") == "inactive"
    assert "sleep" in systemd.run("status", "agent.service"), "also a stop leaves it to the guard"
