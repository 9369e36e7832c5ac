"""A web service: a server behind an address, and a probe that asks it as a client would."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from monitoring.service.group_templates import common
from monitoring.service.group_templates.api import GroupTemplate, Part

TEMPLATE = GroupTemplate(
    "web-service",
    _("Web service"),
    _("A web server with an address of its own, and a probe that asks it as a client would."),
    "globe",
    (
        common.disk(optional=True),
        common.address(),
        common.network_name(),
        Part(
            "server",
            "Web Server",
            (
                "Generic Service",
                "ocf:heartbeat:nginx",
                "ocf:heartbeat:apache",
                "Generic Application",
                "Generic Script",
            ),
            title=_("Web server"),
            lead=_("What serves the pages: a systemd unit, an OCF agent, a command or a script."),
            needs=("disk", "ip", "name"),
            shown=("ServiceName", "CommandLine", "CurrentDirectory", "configfile", "port"),
            defaults={"CurrentDirectory": "{disk.Path}"},
        ),
        Part(
            "probe",
            "Web Probe",
            ("HTTP Endpoint",),
            title=_("Probe"),
            lead=_("Asks for a page through the group's address. Without the right answer the group fails."),
            needs=("server", "ip"),
            shown=("URL", "Port", "Contains"),
            optional=True,
        ),
    ),
    place=10,
)
