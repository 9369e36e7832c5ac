"""The record says what was told to it, or nothing: never a part."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.core.messages import Assignment
from monitoring.core.states import ResourceState
from monitoring.node import record
from monitoring.node.record import (
    Assigned,
    Ended,
    Entry,
    Forgotten,
    Phase,
    Record,
    RecordError,
    Released,
    Started,
    Step,
)
from tests.node.harness import spec

SMALL = st.integers(1, 3)
ASSIGNMENTS = st.builds(
    lambda group, epoch, serial: Assignment(
        1, group, f"GROUP{group}", epoch, serial, (spec(group, "Test Job"), spec(group + 10, "Test Plain"))
    ),
    SMALL,
    SMALL,
    SMALL,
)
STEPS = st.builds(
    Step,
    SMALL,
    st.sampled_from(Phase),
    st.sampled_from([ResourceState.ONLINE, ResourceState.OFFLINE, ResourceState.FAILED]),
    SMALL,
    SMALL,
    st.just("Test Job"),
    st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3), max_size=2),
    st.text(max_size=5),
)
ENTRIES: st.SearchStrategy[Entry] = st.one_of(
    st.builds(Assigned, ASSIGNMENTS),
    st.builds(Released, SMALL, SMALL),
    STEPS,
    st.builds(Started, SMALL, SMALL, SMALL),
    st.builds(Ended, SMALL, SMALL),
    st.builds(Forgotten, SMALL),
)


def written(path: Path, entries: list[Entry]) -> Record:
    kept = Record(path, "NODE1")
    kept.begin(7, 12.5)
    for entry in entries:
        kept.add(entry)
    return kept


@settings(deadline=None, max_examples=100)
@given(entries=st.lists(ENTRIES, max_size=30))
def test_what_is_read_is_what_was_written_and_so_it_is_once_written_anew(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]
) -> None:
    path = tmp_path_factory.mktemp("record") / "record"
    kept = written(path, entries)
    assert record.read(path) == kept.life
    kept.go_on(record.read(path))
    assert record.read(path) == kept.life


@settings(deadline=None, max_examples=60)
@given(entries=st.lists(ENTRIES, min_size=3, max_size=8), data=st.data())
def test_a_record_with_one_byte_changed_is_refused(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("record") / "record"
    written(path, entries)
    text = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(text) - 2))
    text[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(text)
    with pytest.raises(RecordError):
        record.read(path)


def test_a_record_is_written_anew_when_it_has_grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "COMPACT_AFTER", 2000)
    path = tmp_path / "record"
    step = Step(1, Phase.ONLINE, ResourceState.ONLINE, 1, 1, "Test Job", {})
    kept = written(path, [step, *(Started(1, 5, n) for n in range(500))])
    assert path.stat().st_size < 4000
    assert record.read(path) == kept.life
    assert kept.life is not None
    assert kept.life.processes == {1: {5: 499}}


def test_a_record_that_cannot_be_written_in_full_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "record"
    kept = written(path, [Released(1, 2)])
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
        kept.add(Released(1, 3))
    assert not path.exists()
    kept.add(Released(1, 4))  # the node goes on without
    assert not path.exists()
    kept.begin(8, 13.0)  # its next life may have more luck
    assert record.read(path).begun.incarnation == 8


def test_what_cannot_be_written_is_replaced_in_a_cause_and_elsewhere_ends_the_record(tmp_path: Path) -> None:
    path, half = tmp_path / "record", "half a character: \ud800"
    step = Step(1, Phase.DOWN, ResourceState.FAILED, 1, 1, "Test Job", {}, half)
    kept = written(path, [step])
    assert record.read(path).steps[1].cause == "half a character: ?"
    kept.add(Step(1, Phase.DOWN, ResourceState.FAILED, 1, 1, "Test Job", {"Switch": half}))
    assert not path.exists()


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "record"
    written(path, [Released(1, 2)])
    assert path.stat().st_mode & 0o077 == 0


def test_without_a_life_nothing_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "record"
    kept = written(path, [Released(1, 2)])
    kept.end()
    kept.add(Released(1, 3))
    assert not path.exists()
    with pytest.raises(RecordError, match="there is no record"):
        record.read(path)
