"""Two nodes, a group on the first, and one switch that fences it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from monitoring.core.states import NodeState, ResourceState
from monitoring.fencing import registry
from monitoring.models import (
    Cluster,
    FenceDevice,
    FenceStep,
    Group,
    Node,
    Resource,
    ResourceType,
)
from monitoring.service.fencing import work
from tests.service.fencing.build import Switch


@pytest.fixture(autouse=True)
def switch(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Switch]]:
    methods = {**registry.all_methods(), "Switch": Switch}
    monkeypatch.setattr(registry, "all_methods", lambda: methods)
    monkeypatch.setattr("monitoring.fencing.levels.RETRY_PAUSE", 0.0)
    Switch.answers, Switch.calls, Switch.meanwhile = [], [], []
    yield Switch
    work._over_since.clear()


@pytest.fixture
def nodes(db: None) -> list[Node]:
    Cluster.objects.create(pk=1, heartbeat_interval_ms=50)
    return [
        Node.objects.create(name=f"NODE{n}", state=NodeState.UP, incarnation=n, heartbeat=9) for n in (1, 2)
    ]


@pytest.fixture
def group(nodes: list[Node]) -> Group:
    """EVS1, Online on NODE1."""
    kind = ResourceType.objects.create(name="T", dll_name="t")
    made = Group.objects.create(
        name="EVS1", owner=nodes[0], persistent_online=True, serial=1, applied_serial=1, last_state=0
    )
    row = Resource.objects.create(
        group=made, type=kind, name="EVS1 R", state=ResourceState.ONLINE, running=True
    )
    Group.objects.filter(pk=made.pk).update(wanted=[[row.pk, True, 1]])
    return made


@pytest.fixture
def step(nodes: list[Node]) -> FenceStep:
    """One switch fences NODE1."""
    device = FenceDevice.objects.create(name="SWITCH", method="Switch")
    return FenceStep.objects.create(node=nodes[0], device=device, retries=0)
