"""The promises of the cluster service, in worlds where everything goes wrong that can."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.simulation.mutations import MUTATIONS

SEEDS = 500
SEEDS_A_MUTATION = 300
"""Within which each planted mistake has to show; most do within the first ten."""
pytestmark = pytest.mark.simulation


def simulate(*arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    """A simulation in a process of its own, with a database of its own in memory."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


@pytest.mark.timeout(600)
def test_no_fault_breaks_an_invariant_and_everything_settles():
    done = simulate("--seeds", str(SEEDS), timeout=550)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SEEDS} seeds" in done.stdout
    assert " 0 violations" in done.stdout


def test_a_seed_is_replayed_exactly():
    first, second = (simulate("--seed", "6", "--trace", timeout=60).stdout for _ in range(2))
    assert "history 1:" in first
    assert first == second


@pytest.mark.timeout(360)
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_planted_mistake_is_noticed(mutation: str):
    done = simulate("--mutation", mutation, "--seeds", str(SEEDS_A_MUTATION), timeout=350)
    assert done.returncode == 0, done.stdout + done.stderr
