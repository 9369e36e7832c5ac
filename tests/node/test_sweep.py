"""What a dead agent left is taken back in the order in which it can be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from monitoring.node.sweep import SweepNotes
from monitoring.resource_dlls.api import ResourceDLL, ResourceError


class Layer(ResourceDLL):
    """Stands for a file system, its volume and its device: none goes while one stands on it."""

    type_name = "Layer"
    left: ClassVar[list[int]] = []

    @classmethod
    def sweep(cls, state_dir: Path) -> None:
        mine = int(state_dir.name)
        if mine not in cls.left:
            raise ResourceError("it is not there")
        if cls.left[-1] != mine:
            raise ResourceError(f"{cls.left[-1]} stands on it")
        cls.left.pop()


def noted(home: Path, *resources: int) -> SweepNotes:
    notes = SweepNotes(home)
    for second, resource in enumerate(resources):
        notes.add(resource, Layer)
        os.utime(home / "sweep" / str(resource), (second, second))
    return notes


def test_what_came_online_last_is_swept_first(tmp_path: Path) -> None:
    Layer.left = [20, 3, 100]
    notes = noted(tmp_path, 20, 3, 100)
    assert notes.sweep_all({"Layer": Layer}) == []
    assert Layer.left == []
    assert not any(notes.is_noted(resource) for resource in (20, 3, 100))


def test_what_failed_is_tried_again_once_others_are_gone(tmp_path: Path) -> None:
    Layer.left = [1, 2]
    assert noted(tmp_path, 2, 1).sweep_all({"Layer": Layer}) == []
    assert Layer.left == []


def test_what_cannot_be_swept_is_named_and_stays_noted(tmp_path: Path) -> None:
    Layer.left = [1, 9, 2]  # 9 is nobody's
    notes = noted(tmp_path, 1, 2)
    (problem,) = notes.sweep_all({"Layer": Layer})
    assert problem == "resource 1 (Layer) could not be swept: 9 stands on it"
    assert (notes.is_noted(1), notes.is_noted(2)) == (True, False)


def test_what_is_to_be_kept_is_left_alone(tmp_path: Path) -> None:
    Layer.left = [1, 2]
    notes = noted(tmp_path, 1, 2)
    assert notes.sweep_all({"Layer": Layer}, keep={1}) == []
    assert Layer.left == [1]
    assert notes.is_noted(1)
