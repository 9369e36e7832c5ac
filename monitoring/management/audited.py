"""Commands in whose name something is done: the audit trail says from which machine."""

from __future__ import annotations

import getpass
import os
import socket
from typing import Any

from django.core.management import BaseCommand

from monitoring.service import audit


def user() -> str:
    """The person at the terminal, also behind sudo."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def who() -> str:
    """What the history calls the person at the terminal."""
    return f"{user()} (command line)"


class AuditedCommand(BaseCommand):
    """A command that may change something. What the cluster service refused is written down too."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        origin = audit.Origin("command-line", f"{user()}@{socket.gethostname()}", who())
        with audit.acting(origin):
            try:
                return super().execute(*args, **options)
            finally:
                if origin.refusals:
                    asked = f"{self.__module__.rpartition('.')[2]} {options.get('command', '')}".strip()
                    audit.attempted(origin, f"{asked}: {' '.join(origin.refusals)}", "refused")
