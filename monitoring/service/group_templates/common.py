"""Parts that most templates have: a disk, an address, a name."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from monitoring.service.group_templates.api import Part


def disk(*, optional: bool = False, included: bool = True) -> Part:
    return Part(
        "disk",
        "Disk",
        ("Physical Disk",),
        title=_("Disk"),
        lead=_("Storage of its own, which all possible owners reach."),
        shown=("Path", "Device"),
        optional=optional,
        included=included,
    )


def address(*, optional: bool = False, included: bool = True) -> Part:
    return Part(
        "ip",
        "IP Address",
        ("IP Address",),
        title=_("IP address"),
        lead=_("The address that clients reach, whichever node serves them."),
        shown=("Address", "SubnetMask", "Network"),
        optional=optional,
        included=included,
    )


def network_name(*, optional: bool = True, included: bool = True) -> Part:
    return Part(
        "name",
        "Network Name",
        ("Network Name",),
        title=_("Network name"),
        lead=_("The name that clients use. No node has it."),
        needs=("ip",),
        shown=("Name",),
        defaults={"Name": "{group}"},
        optional=optional,
        included=included,
    )
