"""The watchdog: fed while the node may run something or runs nothing, let go only when nothing runs."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitoring.core.messages import Heartbeat
from monitoring.core.states import ResourceState as S
from monitoring.node import watchdog
from monitoring.node.watchdog import FAREWELL, FOOD, Watchdog
from tests.node.harness import AgentProcess, Broker, FakeService, spec, until
from tests.node.test_lease_and_guard import Start


class Device:
    """A FIFO in the place of the device: it tells what it was fed, and no timeout."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.eaten = b""

    def eat(self) -> bytes:
        """What it was fed since the last call."""
        try:
            new = os.read(self._fd, 65_536)
        except BlockingIOError:
            new = b""
        self.eaten += new
        return new

    @property
    def is_held(self) -> bool:
        """Somebody has it open."""
        try:
            self.eaten += (new := os.read(self._fd, 65_536))
        except BlockingIOError:
            return True
        return bool(new)

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path / "watchdog-device")
    yield made
    made.close()


class Clock:
    """Nanoseconds, as the test says."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


def hold(home: Path, device: str, clock: Clock, said: list[str], seconds: int = 8) -> Watchdog:
    return Watchdog(str(home), device, seconds, clock, said.append)


def test_without_a_device_nothing_is_held(tmp_path: Path) -> None:
    dog = hold(tmp_path, "", Clock(), [])
    dog.feed()
    dog.release()
    assert (dog.within(None), dog.within(70)) == (None, 70)
    assert watchdog.held_ms(str(tmp_path)) == 0


def test_it_is_fed_four_times_within_its_timeout(tmp_path: Path, device: Device) -> None:
    clock = Clock()
    dog = hold(tmp_path, str(device.path), clock, [])
    assert device.eat() == FOOD
    dog.feed()
    assert device.eat() == b"", "not before it is due"
    assert dog.within(None) == 2001 and dog.within(500) == 500
    clock.ns = 2_000_000_000
    dog.feed()
    assert device.eat() == FOOD


def test_it_is_released_with_the_word_that_the_driver_waits_for(tmp_path: Path, device: Device) -> None:
    dog = hold(tmp_path, str(device.path), Clock(), [])
    dog.release()
    assert device.eat() == FOOD + FAREWELL
    assert not device.is_held


def test_a_device_that_does_not_tell_its_timeout_is_not_relied_on(tmp_path: Path, device: Device) -> None:
    said: list[str] = []
    hold(tmp_path, str(device.path), Clock(), said)
    assert watchdog.held_ms(str(tmp_path)) == 0
    assert "nobody relies on it" in said[0]


def test_what_the_driver_says_counts_and_not_what_it_was_asked_for(
    tmp_path: Path, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def driver(fd: int, request: int, argument: bytes) -> bytes:
        """A driver that knows only one timeout (no real one can be had here)."""
        asked.append((request, struct.unpack("=i", argument)[0]))
        return struct.pack("=i", 60)

    monkeypatch.setattr(fcntl, "ioctl", driver)
    dog = hold(tmp_path, str(device.path), Clock(), [])
    assert asked == [(watchdog.SET_TIMEOUT, 8), (watchdog.GET_TIMEOUT, 0)]
    assert watchdog.held_ms(str(tmp_path)) == 60_000
    assert dog.within(None) == 15_001
    dog.release()
    assert watchdog.held_ms(str(tmp_path)) == 0


def test_a_device_that_cannot_be_opened_is_said_and_an_old_note_forgotten(tmp_path: Path) -> None:
    (tmp_path / watchdog.NOTE).write_text("10000")
    said: list[str] = []
    hold(tmp_path, str(tmp_path / "missing"), Clock(), said)
    assert "cannot be held: No such file" in said[0]
    assert watchdog.held_ms(str(tmp_path)) == 0


# With real agents and guards


@pytest.fixture
def held(
    device: Device,
    service: FakeService,
    node_broker: Broker,
    start_agent: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> AgentProcess:
    """An agent whose guard holds the device, fed four times a second."""
    monkeypatch.setenv(watchdog.DEVICE, str(device.path))
    monkeypatch.setenv(watchdog.SECONDS, "1")
    agent = start_agent(node_broker.url, service.url)
    service.wait_joined()
    return agent


def test_it_is_fed_while_the_lease_is_held_and_let_go_when_the_agent_stops_in_order(
    held: AgentProcess, device: Device, service: FakeService, switch: Path
) -> None:
    service.assign(spec(1, "Test Job", switch))
    service.wait_state(1, S.ONLINE)
    device.eat()
    time.sleep(1.5)
    assert 4 <= len(device.eat()) <= 9
    assert all(beat.watchdog_ms == 0 for _, beat in service.heard if isinstance(beat, Heartbeat))
    held.signal(signal.SIGTERM)
    held.process.wait(20)
    until(lambda: not device.is_held, 10, "the guard lets go")
    assert device.eaten.endswith(FAREWELL)


def test_the_agent_tells_the_timeout_that_its_guard_wrote_down(
    held: AgentProcess, service: FakeService
) -> None:
    (held.home / watchdog.NOTE).write_text("30000")
    service.wait(
        lambda: any(b.watchdog_ms == 30_000 for _, b in service.heard if isinstance(b, Heartbeat)), 10
    )


def test_a_guard_that_is_killed_does_not_let_go(
    held: AgentProcess, device: Device, service: FakeService
) -> None:
    """The machine would be reset, unless the next guard takes the device up in time: it does."""
    guard = int((held.home / "guard.lock").read_text())
    device.eat()
    os.kill(guard, signal.SIGKILL)
    until(lambda: int((held.home / "guard.lock").read_text() or 0) not in (0, guard), 10, "the next guard")
    until(lambda: device.eat(), 5, "it is fed again")
    assert FAREWELL not in device.eaten


def test_it_is_not_fed_by_a_guard_that_does_not_run(held: AgentProcess, device: Device) -> None:
    guard = int((held.home / "guard.lock").read_text())
    os.kill(guard, signal.SIGSTOP)
    try:
        time.sleep(0.3)
        device.eat()
        time.sleep(1.2)
        assert device.eat() == b""
    finally:
        os.kill(guard, signal.SIGCONT)
    until(lambda: device.eat(), 5, "it is fed again")
