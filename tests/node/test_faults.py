"""Resource DLLs that hang, resist and lie: each costs its own resource only."""

from __future__ import annotations

import time
from pathlib import Path

from monitoring.core.messages import Report
from monitoring.core.states import ResourceState as S
from tests.node.harness import AgentProcess, FakeService, spec


def samples(service: FakeService, resource: int) -> list:
    return [s for _, m in service.heard if isinstance(m, Report) for s in m.samples if s.resource == resource]


def test_a_hanging_probe_delays_no_other_and_fails_its_own_resource_at_the_deadlock_timeout(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    (switch / "R1.hangs-isalive").touch()
    service.assign(
        spec(1, "Test Plain", switch, deadlock_timeout_ms=1000, is_alive_ms=50),
        *(spec(n, "Test Plain", switch, is_alive_ms=50) for n in range(2, 8)),
    )
    service.wait_state(7, S.ONLINE)
    began = time.monotonic()
    failed = service.wait_state(1, S.FAILED, 5)
    assert failed.cause == "IsAlive did not return within 1 s"
    assert failed.code == 1230
    assert 0.8 < time.monotonic() - began < 4
    for n in range(2, 8):
        assert service.states[n].state is S.ONLINE
    assert [entry.code for entry in service.logs() if entry.resource == 1] == [1230]


def test_a_resource_whose_probe_hung_can_be_brought_online_again(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    (switch / "R1.hangs-isalive").touch()
    service.assign(spec(1, "Test Plain", switch, deadlock_timeout_ms=1000))
    service.wait_state(1, S.FAILED, 5)
    (switch / "R1.hangs-isalive").unlink()
    service.assign(spec(1, "Test Plain", switch, attempt=2), serial=2)
    service.wait_state(1, S.ONLINE, 3)


def test_isalive_that_says_no_fails_the_resource(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Plain", switch, is_alive_ms=50))
    service.wait_state(1, S.ONLINE)
    service.wait(lambda: samples(service, 1))
    (switch / "R1.sick").touch()
    assert service.wait_state(1, S.FAILED).cause == "IsAlive said no"


def test_a_pending_resource_that_reports_progress_never_times_out_and_a_silent_one_does(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    (switch / "R1.slow-online").touch()
    (switch / "R2.hangs-online").touch()
    (switch / "R3.hangs-online").touch()
    service.assign(
        spec(1, "Test Plain", switch, pending_timeout_ms=300),
        spec(2, "Test Plain", switch, pending_timeout_ms=300),
        spec(3, "Test Job", switch, pending_timeout_ms=300),
    )
    assert service.wait_state(2, S.FAILED, 5).cause == "Online reported nothing for 0.3 s"
    assert service.wait_state(3, S.FAILED, 5).cause == "Online reported nothing for 0.3 s"
    service.wait_state(1, S.ONLINE, 5)
    assert any("s to go" in r.progress for r in service.reports_of(1))


def test_an_online_in_progress_is_broken_off_when_it_is_no_longer_wanted(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    (switch / "R1.hangs-online").touch()
    (switch / "R2.hangs-online").touch()
    service.assign(
        spec(1, "Test Job", switch, pending_timeout_ms=60_000, deadlock_timeout_ms=60_000),
        spec(2, "Test Plain", switch, pending_timeout_ms=60_000, deadlock_timeout_ms=60_000),
    )
    service.wait(lambda: service.states.get(2) and service.states[2].state is S.ONLINE_PENDING)
    service.assign(
        spec(1, "Test Job", switch, want_online=False),
        spec(2, "Test Plain", switch, want_online=False),
        serial=2,
    )
    service.wait_state(1, S.OFFLINE, 3)
    service.wait_state(2, S.OFFLINE, 5)


def test_what_an_interrupted_online_makes_after_terminate_is_taken_back(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    # An address was added to its interface while Terminate looked whether there is one.
    (switch / "R1.slow-online").touch()
    service.assign(spec(1, "Test Plain", switch))
    service.wait(lambda: service.states.get(1) and service.states[1].state is S.ONLINE_PENDING)
    service.assign(spec(1, "Test Plain", switch, want_online=False), serial=2)
    service.wait_state(1, S.OFFLINE, 5)
    time.sleep(1.0)
    assert not (switch / "R1.made").exists()


def test_an_offline_that_hangs_is_terminated_and_ends_offline(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    (switch / "R1.hangs-offline").touch()
    service.assign(spec(1, "Test Job", switch, pending_timeout_ms=300))
    service.wait_state(1, S.ONLINE)
    service.assign(spec(1, "Test Job", switch, pending_timeout_ms=300, want_online=False), serial=2)
    assert service.wait_state(1, S.OFFLINE, 5).cause == "Offline reported nothing for 0.3 s"
    assert 1 not in agent.running()


def test_what_terminate_does_not_bring_down_stays_running_in_the_reports_until_it_is_down(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Plain", switch, is_alive_ms=50))
    service.wait_state(1, S.ONLINE)
    (switch / "R1.resists").touch()
    (switch / "R1.sick").touch()
    service.wait(lambda: service.states[1].state is S.FAILED)
    service.wait(lambda: [entry for entry in service.logs() if "Terminate: it resists" in entry.text])
    assert service.states[1].running
    (switch / "R1.sick").unlink()
    service.assign(spec(1, "Test Plain", switch, attempt=2), serial=2)
    service.wait(lambda: [g for g in service.group_reports() if g.serial == 2])
    assert service.states[1].state is S.FAILED, "nothing starts while something may still run"
    (switch / "R1.resists").unlink()
    service.wait_state(1, S.ONLINE, 5)


def test_a_descendant_that_became_a_daemon_ends_with_its_resource(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    (switch / "R1.daemon").touch()
    service.assign(spec(1, "Test Job", switch))
    service.wait_state(1, S.ONLINE)
    service.wait(lambda: len(agent.running()[1]) >= 2, what="the daemon runs")
    service.assign(spec(1, "Test Job", switch, want_online=False), serial=2)
    service.wait_state(1, S.OFFLINE)
    assert 1 not in agent.running()


def test_probe_times_travel_with_the_first_result(
    agent: AgentProcess, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Pulse"))
    sample = service.wait(lambda: samples(service, 1))[0]
    assert sample.entry_point == "IsAlive"
    assert sample.last_result
    assert sample.calls >= 1
