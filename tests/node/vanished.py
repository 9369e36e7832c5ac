"""A type that the agent has loaded, and that a monitor process which starts later cannot load any more."""

from __future__ import annotations

import sys

from tests.node.dlls import Job

if sys.argv[0].endswith("separate/process.py"):
    raise RuntimeError("it was removed meanwhile")


class Vanished(Job):
    type_name = "Test Vanished"
