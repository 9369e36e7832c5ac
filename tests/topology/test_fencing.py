"""Editing fence devices: agents are asked before the lock is taken, never while it is held."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring.fencing import fence_agent, program, registry
from monitoring.fencing.fence_agent import FenceAgent
from monitoring.models import FenceDevice, Node
from monitoring.service import lock, topology
from tests.fencing.agents import SWITCH, write_agent
from tests.topology.build import BY

AGENT = FenceAgent.method_name


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the cluster was held, for each time that a program was run."""
    write_agent(tmp_path, SWITCH)
    monkeypatch.setenv(fence_agent.DIRECTORIES, str(tmp_path))
    found: list[bool] = []
    real = program.run

    def run(*args: object) -> object:
        found.append(getattr(lock._local, "held", None) is not None)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(fence_agent, "run", run)
    return found


def test_no_program_is_run_while_the_cluster_is_held(asked: list[bool], nodes: list[Node]) -> None:
    def anew() -> None:
        """As a process that has asked no agent yet."""
        fence_agent._known.clear()
        registry.refresh()

    device = topology.create_fence_device(
        {"name": "PDU"}, method=AGENT, kind="fence_test", properties={"ip": "10.0.0.9"}, by=BY
    )
    anew()
    step = topology.add_fence_step(nodes[0].pk, device.pk, {}, properties={"plug": "1"}, by=BY)
    anew()
    topology.edit_fence_device(device.pk, {}, properties={"ip": "10.0.0.10"}, by=BY)
    anew()
    topology.edit_fence_step(step.pk, {"level": 2}, properties={"plug": "2"}, by=BY)
    anew()
    second = topology.add_fence_step(nodes[0].pk, device.pk, {"level": 3}, properties={"plug": "3"}, by=BY)
    anew()
    topology.remove_fence_step(second.pk, by=BY)
    assert len(asked) == 6
    assert not any(asked)
    assert FenceDevice.objects.get().parameters == {"ip": "10.0.0.10"}
