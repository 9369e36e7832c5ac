"""The promises of the cluster service, in worlds where everything goes wrong that can."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.simulation.mutations import MUTATIONS

SEEDS = 400
pytestmark = pytest.mark.simulation


def simulate(*arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """A simulation in a process of its own, with a database of its own in memory."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


@pytest.mark.timeout(900)
def test_no_fault_breaks_an_invariant_and_everything_settles():
    done = simulate("--seeds", str(SEEDS), "--workers", "2", timeout=850)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("0 violations") == 2, done.stdout


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_planted_mistake_is_noticed(mutation: str):
    done = simulate("--mutation", mutation, "--seeds", "120", timeout=220)
    assert done.returncode == 0, done.stdout + done.stderr
