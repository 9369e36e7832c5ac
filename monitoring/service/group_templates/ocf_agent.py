"""Whatever an OCF resource agent runs."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from monitoring.service.group_templates import common
from monitoring.service.group_templates.api import GroupTemplate, Part

TEMPLATE = GroupTemplate(
    "ocf-agent",
    _("OCF agent"),
    _("Anything that one of the installed OCF resource agents runs, with an address where it needs one."),
    "package",
    (
        common.disk(optional=True, included=False),
        common.address(optional=True),
        Part(
            "agent",
            "Agent",
            ("ocf:",),
            title=_("OCF agent"),
            lead=_("Its parameters, as its metadata describes them."),
            needs=("disk", "ip"),
        ),
    ),
    place=40,
)
