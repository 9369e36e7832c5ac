"""`python -m tests.cluster.moves`: plays it in namespaces of its own, and says what came of it.

Exit code 0: all that was promised was kept; 1: something was not; 2: it could not be played.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

from tests.chaos.__main__ import INSIDE, start_anew_inside
from tests.cluster.moves.play import Play

FREE_PORT = 18380
"""First of six, in a network of its own."""


def main() -> int:
    if os.environ.get(INSIDE) != "1":
        start_anew_inside("tests.cluster.moves")
    os.environ["CLUSTERWEB_OCF_ROOT"] = ""  # what types there are does not depend on the machine
    folder = Path(tempfile.mkdtemp(prefix="clusterweb-moves-"))
    folder.chmod(0o755)
    keep = True
    try:
        problems = Play(folder, FREE_PORT, lambda line: print(line, flush=True)).run()
        for problem in problems:
            print(f"VIOLATION {problem}")
        keep = bool(problems)
        return 1 if problems else 0
    except Exception:
        traceback.print_exc()
        return 2
    finally:
        if keep:
            print(f"Logs and journals are in {folder}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
