#!/usr/bin/env python3
"""Django's command line, and through `cluster` the operator's."""

import importlib.util
import os
import sys
from pathlib import Path


def use_project_environment() -> None:
    """Start again with the interpreter in .venv where this one has no Django."""
    python = Path(__file__).resolve().parent / ".venv" / "bin" / "python"
    if importlib.util.find_spec("django") is None and python.exists():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606 - the interpreter, no shell


if __name__ == "__main__":
    use_project_environment()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clusterweb.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
