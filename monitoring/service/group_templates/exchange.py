"""An Exchange Virtual Server: the System Attendant brings the other resources with it (semantics 6.3)."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from monitoring.service.group_templates import common
from monitoring.service.group_templates.api import GroupTemplate, Part

TEMPLATE = GroupTemplate(
    "exchange-virtual-server",
    _("Exchange Virtual Server"),
    _("An address, a name and a disk of its own, and a System Attendant that brings all of Exchange."),
    "mails",
    (
        common.address(),
        common.network_name(optional=False),
        common.disk(),
        Part(
            "attendant",
            "System Attendant",
            ("Exchange System Attendant",),
            lead=_("Brings the Information Store, the protocols and the rest."),
            needs=("name", "disk"),
            shown=("Servers", "Tree", "CertificateFile", "KeyFile"),
        ),
        Part(
            "mail",
            "Information Store",
            ("Exchange Information Store", "Exchange Information Store (Dovecot)"),
            title=_("Mailboxes"),
            lead=_("Who gets mail. There is always a postmaster. More can be set on the Information Store."),
            only=("Mailboxes", "MailboxPassword"),
            shown=("Mailboxes",),
            of="attendant",
        ),
    ),
    place=5,
)
