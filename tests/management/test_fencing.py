"""Fencing from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitoring.core.states import NodeState
from monitoring.fencing import fence_agent
from monitoring.models import Event, FenceDevice, FenceStep, Group, Node, Operation
from monitoring.service import clock
from monitoring.service.fencing import runner, work
from tests.fencing.agents import SWITCH, write_agent
from tests.management.conftest import Run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_agent(tmp_path, SWITCH)
    monkeypatch.setenv(fence_agent.DIRECTORIES, str(tmp_path))
    return tmp_path


@pytest.fixture
def device(run: Run, folder: Path) -> FenceDevice:
    """A switch whose password came from a file, in level 1 of NODE1."""
    (folder / "secret").write_text("hunter2\n")
    answer = run(
        *("fence-device", "add", "PDU", "--agent", "fence_test", "--set", "ip=10.0.0.9"),
        *("--set-from", f"password={folder / 'secret'}", "--reason", "new rack"),
    )
    assert (answer.code, answer.out.strip()) == (0, "PDU was added."), answer.err
    answer = run("fence-level", "add", "NODE1", "pdu", "--set", "plug=3", "--retries", "0", "--delay", "1.5")
    assert answer.code == 0, answer.err
    return FenceDevice.objects.get()


def test_a_device_and_its_levels_are_set_up_and_shown(run: Run, device: FenceDevice):
    assert device.parameters == {"ip": "10.0.0.9", "password": "hunter2"}
    step = FenceStep.objects.get()
    assert (step.parameters, step.retries, step.delay_ms, step.timeout_ms) == ({"plug": "3"}, 0, 1500, 60_000)
    shown = run("fencing")
    assert "PDU" in shown.out and "plug=3" in shown.out and "lease only" in shown.out
    told = run("fencing", "NODE1", "--json").json
    assert told["devices"][0]["secrets"] == ["password"]
    assert [node["node"] for node in told["nodes"]] == ["NODE1"]
    assert "hunter2" not in shown.out + str(told)
    assert not Event.objects.filter(text__contains="hunter2").exists()
    assert Event.objects.filter(text__contains="Reason: new rack").exists()


def test_a_device_is_changed_taken_out_and_deleted(run: Run, device: FenceDevice):
    assert run("fence-device", "change", "PDU", "--set", "ip=10.0.0.10", "--rename", "PDU1").code == 0
    assert Event.objects.filter(text__contains="ip from '10.0.0.9' to '10.0.0.10'").exists()
    refused = run("fence-device", "delete", "PDU1")
    assert (refused.code, "fences NODE1" in refused.err) == (2, True)
    moved = run("fence-level", "change", "NODE1", "PDU1", "--to-level", "2", "--timeout", "20")
    assert moved.code == 0, moved.err
    assert FenceStep.objects.get().level == 2
    assert run("fence-level", "remove", "NODE1", "PDU1", "--level", "2").code == 0
    assert run("fence-device", "delete", "PDU1").code == 0
    assert not FenceDevice.objects.exists()


@pytest.mark.parametrize(
    ("words", "code", "match"),
    [
        (("fence-device", "add", "X", "--agent", "fence_gone"), 2, "kind: There is no fence agent"),
        (("fence-device", "add", "X", "--agent", "fence_test"), 2, "properties.ip: A value is required"),
        (("fence-device", "add", "pdu", "--method", "Watchdog"), 2, "name: A fence device named PDU"),
        (("fence-device", "add", "X", "--method", "Voodoo"), 2, "method: There is no fence method"),
        (("fence-level", "add", "NODE2", "PDU"), 2, "properties.plug: A value is required"),
        (
            ("fence-level", "add", "NODE2", "PDU", "--set", "ip=1"),
            2,
            "properties.ip: ip is set at the device",
        ),
        (("fence-level", "add", "NODE1", "PDU", "--set", "plug=3"), 2, "device: PDU is in level 1"),
        (("fence-level", "add", "NODE2", "PDU", "--set", "plug=1", "--level", "12"), 2, "level:"),
        (("fence-level", "remove", "NODE2", "PDU"), 1, "device: PDU is not in level 1 of NODE2"),
        (("fence-agents", "fence_gone"), 2, "agent: There is no agent named"),
        (("fence-test", "PDX"), 2, "Did you mean PDU"),
        (("fence", "NODE2"), 1, "node: NODE2 has no fence devices"),
        (("confirm-off", "NODE1", "--confirm", "NODE1", "--reason", "x"), 1, "Nothing waits for NODE1"),
    ],
)
def test_what_cannot_be_is_refused(run: Run, device: FenceDevice, words: tuple, code: int, match: str):
    before = FenceStep.objects.count(), Operation.objects.exclude(kind="edit").count()
    answer = run(*words)
    assert answer.code == code, answer
    assert match in answer.err
    assert (FenceStep.objects.count(), Operation.objects.exclude(kind="edit").count()) == before


def test_agents_and_what_can_be_set_are_listed(run: Run):
    assert run("fence-agents").out.split() == ["fence_test"]
    told = run("fence-agents", "fence_test").out
    assert "A fence agent for tests" in told and "Address of the device" in told
    assert run("fence-agents", "fence_test", "--json").json["name"] == "fence_test"


def test_a_device_is_tested_and_the_result_awaited(
    run: Run, device: FenceDevice, monkeypatch: pytest.MonkeyPatch
):
    def meanwhile(seconds: float) -> None:
        """The cluster service works while the command line sleeps."""
        for pk in runner.claim_tests(clock.now()):
            work.carry_out_test(pk)

    monkeypatch.setattr("monitoring.management.waiting.time.sleep", meanwhile)
    answer = run("fence-test", "PDU", "--node", "NODE1")
    assert answer.code == 0, answer.err
    assert "the device answers; NODE1 is on" in answer.out


def test_a_node_is_seen_off(run: Run, device: FenceDevice, evs1: Group):
    Node.objects.filter(name="NODE2").update(state=NodeState.UP, incarnation=1)
    Node.objects.filter(name="NODE1").update(state=NodeState.DOWN, unfenced=True, incarnation=1)
    Group.objects.update(owner=Node.objects.get(name="NODE1"), persistent_online=True)
    node = Node.objects.get(name="NODE1")
    node.fences.create(incarnation=1, cause="it hangs", started=1.0, round_started=1.0, next_at=1.0)
    assert "not confirmed off" in run("nodes").out
    wrong = run("confirm-off", "NODE1", "--confirm", "NODE2", "--reason", "I unplugged it")
    assert (wrong.code, "confirm: Type NODE1" in wrong.err) == (1, True)
    answer = run("confirm-off", "NODE1", "--confirm", "node1", "--reason", "I unplugged it")
    assert answer.code == 0, answer.err
    assert "has seen that it is off: I unplugged it" in answer.out
    assert Group.objects.get().owner == Node.objects.get(name="NODE2")
