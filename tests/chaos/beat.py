"""An application that serves: it writes down that it does, every 20 ms, and as whom.

    python -S -E beat.py FOLDER

One file a process, GROUP.NODE.EPOCH.PID.START: a line for each moment of service, nanoseconds of the
boot clock, which all nodes of a run share. It serves whatever it is told by nobody: what ends it is the
cluster's business.
"""

import os
import sys
import time

EVERY = 0.02


def now() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def main() -> None:
    group, node, epoch = (os.environ[f"CLUSTERWEB_{name}"] for name in ("GROUP", "NODE", "EPOCH"))
    name = f"{group}.{node}.{epoch}.{os.getpid()}.{now()}"
    journal = os.open(f"{sys.argv[1]}/{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND)
    while True:
        os.write(journal, b"%d\n" % now())
        time.sleep(EVERY)


main()
