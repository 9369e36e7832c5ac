"""Fence methods of other packages: found by their entry point, and a broken one costs itself only."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from monitoring.fencing import registry
from monitoring.fencing.api import FenceError, FenceMethod, Power


class Relay(FenceMethod):
    method_name = "Relay"

    def off(self) -> str:
        return "open"

    def status(self) -> Power:
        return Power.OFF

    def monitor(self) -> str:
        return "answers"


class Hopeful(FenceMethod):
    """It turns nothing off."""

    method_name = "Hopeful"

    def status(self) -> Power:
        return Power.OFF

    def monitor(self) -> str:
        return ""


class Impostor(Relay):
    method_name = "Watchdog"


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    names = ("Relay", "Hopeful", "Impostor", "Missing")
    points = [EntryPoint(name, f"{__name__}:{name}", registry.ENTRY_POINT_GROUP) for name in names]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    monkeypatch.setattr(EntryPoint, "load", lambda self: globals()[self.attr])
    registry.refresh()
    yield
    registry.refresh()


def test_a_plugin_is_a_method_like_the_built_in_ones() -> None:
    assert list(registry.all_methods()) == ["Fence agent", "Watchdog", "Relay"]
    assert registry.get("Relay") is Relay


def test_what_is_wrong_with_a_plugin_is_said_and_costs_it_alone() -> None:
    broken = registry.broken()
    assert "does not define off()" in broken["Hopeful"]
    assert "there is a method 'Watchdog' already" in broken["Impostor"]
    assert "KeyError" in broken["Missing"]
    with pytest.raises(FenceError, match="Hopeful could not be loaded"):
        registry.get("Hopeful")
