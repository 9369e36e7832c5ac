"""`manage.py startdll NAME`: a package with a resource type of one's own, that works and is tested.

Exit code 2 where it cannot be made, with the reason.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand
from django.core.management.base import CommandError, CommandParser

from monitoring.management import plugins


class Command(BaseCommand):
    help = "Make a package with a resource type of your own, which works and has its tests."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="name of the package, such as greeting_server")
        parser.add_argument(
            "--directory",
            type=Path,
            default=Path(),
            help="the folder to make it in (default: the current one)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            called = plugins.names(options["name"])
            made = plugins.make(called, options["directory"])
        except plugins.PluginError as error:
            raise CommandError(str(error), returncode=2) from None
        folder = options["directory"] / called.package
        for path in made:
            self.stdout.write(str(path))
        self.stdout.write(
            f"\nThe resource type {called.type_name} is made. It greets whoever connects; make it yours in"
            f" {folder / called.package / 'dll.py'}.\nTest it:  cd {folder} && {sys.executable} -m pytest\n"
            f"{folder / 'README.md'} tells what comes after."
        )
