"""`manage.py setup_demo`: the demo cluster and the first users, in an empty database.

Can be run again: a cluster that has nodes is left as it is. With --json it prints
{"created": true, "users": [{"name": "admin", "role": "administrator", "password": "..."}],
"mailboxes": [{"name": "alice, bob", "role": "mail EVS1", "password": "..."}]}.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand
from django.core.management.base import CommandParser

from monitoring.service import demo


class Command(BaseCommand):
    help = "Create the demo cluster (two nodes, two Exchange Virtual Servers) and the first users."
    requires_system_checks: list[str] = []  # they load every page; the web process runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--shared",
            type=Path,
            default=os.environ.get("CLUSTERWEB_SHARED"),
            help="storage that all nodes see (default: CLUSTERWEB_SHARED, else shared/ in the home)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        home = Path(settings.HOME)
        made = demo.set_up(home, options["shared"] or home / "shared", settings.PORT)
        if options["json"]:
            self.stdout.write(json.dumps(asdict(made)))
            return
        self.stdout.write("The demo cluster was created." if made.created else "There is a cluster already.")
        for user in made.users + made.mailboxes:
            self.stdout.write(f"  {user.role:14} {user.name:10} password {user.password}")
