"""The promises of the cluster service, in worlds where everything goes wrong that can."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.mutations import MUTATIONS

SEEDS = 500
SEEDS_A_MUTATION = 300
"""Within which each planted mistake has to show; most do within the first thirty."""
pytestmark = pytest.mark.simulation


def simulate(*arguments: str, timeout: float, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    """A simulation in processes of its own, each with a database of its own in memory."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment)


@pytest.mark.timeout(1200)
def test_no_fault_breaks_an_invariant_and_everything_settles():
    done = simulate("--seeds", str(SEEDS), "--workers", "2", timeout=1100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SEEDS} seeds" in done.stdout
    assert " 0 violations" in done.stdout


def test_a_seed_is_replayed_exactly_by_any_process():
    first, second = (simulate("--seed", "6", "--trace", timeout=60, hash_seed=n).stdout for n in ("1", "2"))
    assert "history 1:" in first
    assert first == second


@pytest.mark.timeout(500)
def test_a_failing_seed_shrinks_to_the_few_steps_that_it_takes():
    mistake = ("--mutation", "lease_given_up_early")
    found = simulate(*mistake, "--seeds", "20", timeout=120).stdout
    seed = found.partition("caught by seed ")[2].partition(":")[0]
    whole, least = (
        simulate("--seed", seed, *mistake, *more, timeout=240).stdout for more in ((), ("--shrink",))
    )
    assert "Violation" in whole
    assert "Violation" in least
    assert 2 <= len(least.splitlines()) < len(whole.splitlines())


@pytest.fixture(scope="module")
def noticed() -> str:
    """One line for each planted mistake: which seed shows it first, if one does."""
    return simulate("--mutations", "--seeds", str(SEEDS_A_MUTATION), "--workers", "2", timeout=1100).stdout


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_planted_mistake_is_noticed(mutation: str, noticed: str):
    assert f"{mutation}: caught by seed" in noticed
