"""A PostgreSQL database."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from monitoring.service.group_templates import common
from monitoring.service.group_templates.api import GroupTemplate, Part

TEMPLATE = GroupTemplate(
    "postgresql",
    _("Database: PostgreSQL"),
    _("A PostgreSQL server on an address of its own, its database on the group's disk."),
    "database",
    (
        common.disk(),
        common.address(),
        common.network_name(),
        Part(
            "server",
            "PostgreSQL",
            ("PostgreSQL Server",),
            lead=_("The database server. Its data directory has to be there already."),
            needs=("disk", "ip", "name"),
            shown=("Port", "DataDirectory", "ProbeUser"),
        ),
    ),
    place=20,
)
