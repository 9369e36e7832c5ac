"""The pages that the palette leads to, with words by which they are looked for."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from monitoring.models.roles import Role

Text = str | Promise


@dataclass(frozen=True, slots=True)
class Place:
    """`name` of the address; `words` are others that mean it, in English."""

    name: str
    title: Text
    icon: str
    words: str = ""
    role: Role = Role.VIEWER


PLACES = (
    Place("overview", _("Overview"), "layout-dashboard", "home cards health"),
    Place("groups", _("Groups"), "boxes", "list"),
    Place("nodes", _("Nodes"), "server", "list servers"),
    Place("history", _("History"), "history", "failovers moves"),
    Place("history_events", _("Events"), "scroll-text", "history log"),
    Place("timeline", _("Timeline"), "activity", "history states"),
    Place("moment", _("The cluster at a moment"), "clock", "history time travel"),
    Place("availability", _("Availability"), "calendar", "history uptime downtime report outages"),
    Place("what_if", _("What if"), "compass", "plan failure drain"),
    Place("fencing", _("Fence devices"), "plug-zap", "fencing stonith power"),
    Place("group_create", _("New group"), "plus", "create add", Role.ADMINISTRATOR),
    Place(
        "exchange_create",
        _("New Exchange Virtual Server"),
        "mails",
        "create add evs mail",
        Role.ADMINISTRATOR,
    ),
    Place("fence_device_create", _("New fence device"), "plus", "create add", Role.ADMINISTRATOR),
    Place(
        "cluster_settings", _("Cluster settings"), "settings-2", "edit heartbeat lease", Role.ADMINISTRATOR
    ),
    Place("access", _("Access"), "user-cog", "users tokens sign-ins", Role.ADMINISTRATOR),
    Place("password_change", _("Change password"), "key-round", "account"),
)
