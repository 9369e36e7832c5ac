"""The watchdog as a fence method: it confirms only what time has made sure."""

from __future__ import annotations

import time

import pytest

from monitoring.fencing import watchdog
from monitoring.fencing.api import Context, FenceError, Power
from monitoring.fencing.watchdog import Watchdog


def test_a_node_without_a_watchdog_is_never_confirmed():
    with pytest.raises(FenceError, match="has not said that it holds a watchdog"):
        Watchdog("", {}, Context(node="NODE1", over_for=lambda: 1e6)).off()


def test_a_node_that_holds_its_lease_is_never_confirmed():
    with pytest.raises(FenceError, match="holds its lease"):
        Watchdog("", {}, Context(node="NODE1", over_for=lambda: 0.0, watchdog=1.0)).off()


def test_it_waits_for_the_whole_timeout_of_the_watchdog(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watchdog, "SLACK", 0.1)
    began = time.monotonic()
    context = Context(node="NODE1", over_for=lambda: time.monotonic() - began + 0.01, watchdog=0.5)
    assert "watchdog acts after 0.5 s" in Watchdog("", {}, context).off()
    assert time.monotonic() - began >= 0.55


def test_it_stops_waiting_when_nobody_waits_for_it():
    context = Context(node="NODE1", over_for=lambda: 0.1, watchdog=60.0, cancelled=lambda: True)
    with pytest.raises(FenceError, match="not needed"):
        Watchdog("", {}, context).off()


def test_it_needs_more_time_than_the_watchdog():
    context = Context(node="NODE1", watchdog=60.0)
    assert Watchdog.least_seconds("", {}, context) > 60 + watchdog.SLACK


def test_its_test_asks_the_node():
    holds = Context(node="NODE1", watchdog=10.0)
    assert Watchdog("", {}, holds).monitor() == "NODE1 holds a watchdog of 10 s"
    assert Watchdog("", {}, holds).status() is Power.ON
    with pytest.raises(FenceError):
        Watchdog("", {}, Context(node="NODE1", watchdog=10.0, over_for=lambda: 1.0)).status()
    with pytest.raises(FenceError, match="for a node"):
        Watchdog("", {}, Context()).monitor()
