"""An NFS export."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from monitoring.service.group_templates import common
from monitoring.service.group_templates.api import GroupTemplate, Part

TEMPLATE = GroupTemplate(
    "nfs-export",
    _("NFS export"),
    _("A directory of the group's disk, exported to NFS clients at the group's address."),
    "folder-tree",
    (
        common.disk(),
        common.address(),
        common.network_name(included=False),
        Part(
            "export",
            "NFS Export",
            ("NFS Export",),
            lead=_("What is exported, and to whom."),
            needs=("disk", "ip", "name"),
            shown=("Path", "Clients", "Options"),
            defaults={"Path": "{disk.Path}"},
        ),
    ),
    place=35,
)
