"""What authors call in their own tests is what the node calls."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from monitoring.node import marks
from monitoring.resource_dlls.api import ResourceError
from monitoring.resource_dlls.conformance import InputError, check, resource
from tests.conformance import types
from tests.resource_dlls.context import free_address


def some_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_resource_is_called_by_hand_and_taken_down_at_the_end() -> None:
    port, address = some_port(), free_address()
    with resource(types.Good, {"Port": port, "Address": address}) as mine:
        assert not mine.is_alive()
        mine.online()
        assert mine.is_alive()
        (pid,) = mine.pids
        with socket.create_connection((address, port)) as client:
            assert client.recv(5) == b"hello"
        assert (mine.state_dir / "ready").exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, port))
    assert not pid_lives(pid)


def test_nothing_of_the_suites_own_nodes_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    report = check(types.Warm, {"Port": some_port()}, checks=["cycle", "sweep"])
    assert report.passed, report
    time.sleep(0.3)  # a warm parent that is started again takes less
    assert list(tmp_path.iterdir()) == []


def pid_lives(pid: int) -> bool:
    return marks.ticks(pid) > 0


def test_what_an_entry_point_raises_passes_through_and_is_what_operators_read() -> None:
    with resource(types.OfflineOnce, {"Port": some_port()}) as mine:
        with pytest.raises(ResourceError, match="nothing runs"):
            mine.offline()
        assert mine.said == ["Offline: nothing runs"]


def test_values_that_cannot_be_are_named() -> None:
    with pytest.raises(InputError, match="property Port: a value is required"), resource(types.Good):
        raise AssertionError("it was made")
