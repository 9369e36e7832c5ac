"""A plain program with an address."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from monitoring.service.group_templates import common
from monitoring.service.group_templates.api import GroupTemplate, Part

TEMPLATE = GroupTemplate(
    "application",
    _("Application"),
    _("Any program that one node at a time shall run: its end is noticed at once."),
    "app-window",
    (
        common.disk(optional=True, included=False),
        common.address(optional=True),
        common.network_name(included=False),
        Part(
            "program",
            "Application",
            ("Generic Application", "Generic Service", "Generic Script"),
            title=_("Program"),
            lead=_("What runs: a command, a systemd unit or a script."),
            needs=("disk", "ip", "name"),
            shown=("CommandLine", "CurrentDirectory", "ServiceName", "ScriptFilePath", "HealthCommand"),
            defaults={"CurrentDirectory": "/"},
        ),
    ),
    place=50,
)
