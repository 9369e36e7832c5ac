"""The built-in types keep what the plugin API promises."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.conformance import Nursery, check
from tests.resource_dlls.conformance_cases import BUILT_IN, ELSEWHERE, Place


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="clusterweb-conformance-"))
    folder.chmod(0o755)
    with ExitStack() as beside:
        yield Place(folder, beside, monkeypatch)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.mark.parametrize("type_name", BUILT_IN)
def test_a_built_in_type_conforms(type_name: str, nursery: Nursery, place: Place) -> None:
    case = BUILT_IN[type_name](place)
    shared = nursery if case.shares_nursery else None
    report = check(type_name, case.properties, providers=case.providers, nursery=shared)
    assert report.passed, str(report)


def test_every_built_in_type_is_named_here() -> None:
    found = {
        name
        for name, dll in registry.all_types().items()
        if dll.__module__.startswith("monitoring.resource_dlls.") and not name.startswith("ocf:")
    }
    assert found == set(BUILT_IN) | ELSEWHERE
