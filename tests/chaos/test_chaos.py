"""A short night of chaos: every kind of fault once, and nothing that was promised is broken."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings

import pytest

from clusterweb.run.config import BASE_DIR
from tests.chaos.__main__ import NO_CUTS
from tests.chaos.parts import INITDB

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(420)]

SEED = 4
SECONDS = 60
CUTS = ("unplugged", "cut off", "does not hear", "not heard")


def test_a_cluster_that_everything_happens_to_has_one_owner_and_loses_nothing() -> None:
    if not INITDB:
        pytest.skip("no PostgreSQL on this machine")
    words = ["--seconds", str(SECONDS), "--seed", str(SEED)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", *words], cwd=BASE_DIR, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    faults = re.search(r"^faults +(\d+)$", done.stdout, re.MULTILINE)
    assert faults is not None and int(faults[1]) >= 10, done.stdout
    mails = re.search(r"^mails acknowledged +(\d+)$", done.stdout, re.MULTILINE)
    assert mails is not None and int(mails[1]) >= 50, done.stdout
    if NO_CUTS in done.stdout:
        warnings.warn("not allowed to make namespaces: the chaos run cut no network", stacklevel=1)
    else:
        assert any(cut in done.stdout for cut in CUTS), done.stdout
