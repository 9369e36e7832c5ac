"""A file share for Windows clients (SMB)."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from monitoring.service.group_templates import common
from monitoring.service.group_templates.api import GroupTemplate, Part

TEMPLATE = GroupTemplate(
    "file-share",
    _("File share"),
    _("A directory of the group's disk, shared by SMB under the group's own name."),
    "folder-open",
    (
        common.disk(),
        common.address(),
        common.network_name(),
        Part(
            "share",
            "File Share",
            ("File Share",),
            title=_("File share"),
            lead=_("What clients see, and who may use it."),
            needs=("disk", "ip", "name"),
            shown=("ShareName", "Path", "ReadOnly", "GuestAccess", "ValidUsers"),
            defaults={"ShareName": "{group}", "Path": "{disk.Path}"},
        ),
    ),
    place=30,
)
