"""A Redis or Valkey database."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from monitoring.service.group_templates import common
from monitoring.service.group_templates.api import GroupTemplate, Part

TEMPLATE = GroupTemplate(
    "redis",
    _("Database: Redis or Valkey"),
    _("A Redis or Valkey server on an address of its own, its data on the group's disk."),
    "zap",
    (
        common.disk(),
        common.address(),
        common.network_name(included=False),
        Part(
            "server",
            "Redis",
            ("Redis Server",),
            lead=_("The server. Its directory is made where it is missing."),
            needs=("disk", "ip", "name"),
            shown=("Port", "AppendOnly", "MaxMemory"),
        ),
    ),
    place=25,
)
