"""A service for the tests: says that it serves, then sleeps."""

from __future__ import annotations

import os
import time
from pathlib import Path


def serve(note: str) -> None:
    Path(note).write_text(str(os.getpid()))
    time.sleep(1000)
