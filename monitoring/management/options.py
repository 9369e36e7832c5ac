"""Options that several commands have: properties set one by one, secrets from files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from monitoring.service import lookup


def pair(text: str) -> tuple[str, str]:
    """NAME=VALUE."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    return name, value


def settable(parser: CommandParser) -> None:
    """Add --set and --set-from."""
    parser.add_argument(
        "--set", action="append", default=[], type=pair, metavar="NAME=VALUE", help="a property of its own"
    )
    parser.add_argument(
        "--set-from",
        action="append",
        default=[],
        type=pair,
        metavar="NAME=FILE",
        help="a secret from the first line of a file, so that no list of processes shows it",
    )


def properties(options: dict[str, Any]) -> dict[str, Any]:
    """What --set and --set-from say. UnknownNameError where a file cannot be read."""
    found = dict(options["set"])
    for name, file in options["set_from"]:
        try:
            found[name] = Path(file).read_text().split("\n", 1)[0]
        except (OSError, UnicodeDecodeError) as error:
            raise lookup.UnknownNameError("file", file, []) from error
    return found
