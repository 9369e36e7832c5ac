"""The command that lists the audit trail."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser
from django.core.management.color import Style

from monitoring.api import audit as api
from monitoring.core.model import Refused
from monitoring.management.tables import clock_time, table
from monitoring.models import AuditEntry
from monitoring.service.queries.audit import OUTCOMES

Show = Callable[[object, Callable[[], str]], None]


def add_command(add: Callable[..., CommandParser], shown: CommandParser) -> None:
    """Add the command to the parser of `manage.py cluster`."""
    trail = add("audit", "Who did or tried what, from where, and how it ended", shown)
    trail.add_argument("--who", default="", help="of one user")
    trail.add_argument("--channel", default="", help=", ".join(dict(AuditEntry.CHANNELS)))
    trail.add_argument("--outcome", default="", help=", ".join(OUTCOMES))
    trail.add_argument("--text", default="", help="words that all occur in it")
    trail.add_argument("--since", default="", metavar="TIME", help="such as 2030-01-31T14:05")
    trail.add_argument("--until", default="", metavar="TIME")
    trail.add_argument("--limit", type=int, default=50, help="how many, the newest (default 50)")


def show(options: dict[str, Any], tell: Show, style: Style) -> None:
    """The trail. ValidationError for a channel, an outcome or a time that is none."""
    names = ("who", "channel", "outcome", "text", "since", "until", "limit")
    try:
        found = api.read(api.AuditQuery(**{name: options[name] for name in names}))
    except Refused as error:
        raise ValidationError({error.field: error.message}) from error
    rows = [
        [
            *(clock_time(datetime.fromisoformat(row.at)), row.who, row.address or row.channel),
            *(row.state, f"{row.text} “{row.reason}”" if row.reason else row.text),
        ]
        for row in found.entries
    ]
    tell(found, lambda: table(["TIME (UTC)", "WHO", "FROM", "OUTCOME", "WHAT"], rows, style))
