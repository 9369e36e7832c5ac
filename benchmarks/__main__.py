"""`make bench`: all figures, each beside its budget or yardstick."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from benchmarks.figures import Figure, table

MODULES = ("rest", "move", "failure", "cutoff", "screen", "overview", "probes")
LIMIT = 300.0
"""Seconds that one module may take."""


def main() -> int:
    figures: list[Figure] = []
    failed = []
    for name in MODULES:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        try:
            done = subprocess.run(
                [sys.executable, "-m", f"benchmarks.{name}", "--json"],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "CLUSTERWEB_OCF_ROOT": ""},  # the same types on every machine
                timeout=LIMIT,
                check=True,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            failed.append(f"{name}: {error}")
            continue
        figures += [Figure(**json.loads(line)) for line in done.stdout.splitlines()]
    print(table(figures))
    for problem in failed:
        print(f"could not be measured: {problem}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
