"""The chaos run: `python -m tests.chaos --minutes 10 [--seed N]`, or `make chaos MINUTES=10 SEED=N`.

As root it starts itself anew in a network, mount and process namespace of its own: whatever it
makes, processes included, ends with it, however it ends. Without root nothing is cut off, and it says so.
Exit code 0: everything was kept and found; 1: something was not; 2: it could not run.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from tests.chaos.fabric import Loopback, Namespaces
from tests.chaos.night import Night
from tests.chaos.parts import INITDB

INSIDE = "CHAOS_NAMESPACES"
FREE_PORT = 18280
NO_CUTS = "NO NETWORK IS CUT"
OWN = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--")


def main() -> int:
    arguments = _arguments()
    if not INITDB:
        print("Chaos needs PostgreSQL: make packages", file=sys.stderr)
        return 2
    inside = os.environ.get(INSIDE) == "1"
    if not inside and not arguments.no_cuts and may_have_namespaces():
        start_anew_inside("tests.chaos")
    os.environ["CLUSTERWEB_OCF_ROOT"] = ""  # what types there are does not depend on the machine
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1_000_000)
    print(f"Chaos, seed {seed}", flush=True)
    if not inside:
        print(f"{NO_CUTS} in this run: that takes root. Processes are killed and frozen only", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="clusterweb-chaos-"))
    keep = True
    try:
        seconds = arguments.minutes * 60 + arguments.seconds
        fabric = Namespaces() if inside else Loopback()
        night = Night(folder, fabric, seed, seconds, arguments.port, arguments.plant, arguments.only)
        outcome = night.run(lambda line: print(line, flush=True))
        print("\n".join(outcome.lines))
        for violation in outcome.violations[:50]:
            print(f"VIOLATION {violation}")
        keep = bool(outcome.violations) or arguments.keep
        print(f"{len(outcome.violations)} violations, seed {seed}")
        return 1 if outcome.violations else 0
    except KeyboardInterrupt:
        keep = False
        return 130
    except Exception:
        traceback.print_exc()
        return 2
    finally:
        if keep:
            print(f"Logs and journals are in {folder}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0, help="how long faults strike")
    parser.add_argument("--seconds", type=float, default=0.0, help="in addition")
    parser.add_argument("--seed", type=int, help="of the schedule; what comes of it differs with the machine")
    parser.add_argument("--port", type=int, default=FREE_PORT, help="first of six ports")
    parser.add_argument("--plant", default="", choices=["", "guard"], help="a mistake that has to be noticed")
    parser.add_argument("--only", nargs="*", default=[], metavar="KIND", help="kinds of faults, as printed")
    parser.add_argument("--keep", action="store_true", help="keep the logs and journals of a good run")
    parser.add_argument("--no-cuts", action="store_true", help="as without root")
    return parser.parse_args()


def may_have_namespaces() -> bool:
    """Root, and not confined in a container that withholds them."""
    try:
        makes_a_bridge = ["ip", "link", "add", "lan", "type", "bridge"]
        return subprocess.run([*OWN, *makes_a_bridge], capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def start_anew_inside(module: str) -> None:
    """Become a process in namespaces of its own; a shell as the first one takes care of orphans."""
    again = [sys.executable, "-m", module, *sys.argv[1:]]
    shell = ["sh", "-c", 'trap : INT TERM; "$@"; exit $?', "sh"]
    os.execvpe(OWN[0], [*OWN, *shell, *again], {**os.environ, INSIDE: "1"})


if __name__ == "__main__":
    sys.exit(main())
