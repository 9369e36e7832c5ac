"""What a schedule does and when, in words. On pages in the reader's language, in the history in English."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from monitoring.core.schedule import LAST, Occurrence, Repeat
from monitoring.models import Schedule
from monitoring.service.schedules import times

WEEKDAYS = (
    _("Monday"),
    _("Tuesday"),
    _("Wednesday"),
    _("Thursday"),
    _("Friday"),
    _("Saturday"),
    _("Sunday"),
)
NTH = {1: _("first"), 2: _("second"), 3: _("third"), 4: _("fourth"), LAST: _("last")}


def title(row: Schedule) -> str:
    """What it does: "Move EVS1 to NODE2". No query."""
    return told(row.kind, row.group_name, row.node_name)


def told(kind: str, group: str, node: str) -> str:
    """What an action does with what it is about."""
    names = {"group": group, "node": node}
    if kind == "move":
        if node:
            return gettext("Move %(group)s to %(node)s") % names
        return gettext("Move %(group)s to its best node") % names
    if kind in ("maintenance", "end-maintenance"):
        names["group"] = group or gettext("the cluster")
    texts = {
        "online": gettext("Bring %(group)s online"),
        "offline": gettext("Take %(group)s offline"),
        "restart": gettext("Restart %(group)s"),
        "maintenance": gettext("Maintenance of %(group)s"),
        "end-maintenance": gettext("End maintenance of %(group)s"),
        "pause": gettext("Pause %(node)s"),
        "drain": gettext("Drain %(node)s"),
        "resume": gettext("Resume %(node)s"),
    }
    return texts[kind] % names


def in_history(row: Schedule) -> str:
    """The same as the history has it: in English."""
    with translation.override("en"):
        return title(row)


def tag(kind: str, node: str) -> str:
    """The same as a small note beside the name of what it is about: "moves to NODE2"."""
    if kind == "move" and node:
        return gettext("moves to %(node)s") % {"node": node}
    texts = {
        "move": gettext("moves"),
        "online": gettext("comes online"),
        "offline": gettext("goes offline"),
        "restart": gettext("is restarted"),
        "maintenance": gettext("maintenance"),
        "end-maintenance": gettext("maintenance ends"),
        "pause": gettext("is paused"),
        "drain": gettext("is drained"),
        "resume": gettext("is resumed"),
    }
    return texts[kind]


def rhythm(row: Schedule) -> str:
    """How often and when: "Every Sunday at 02:00, until 31 Dec 2030"."""
    first = datetime.fromisoformat(row.first)
    what = {"time": f"{first:%H:%M}", "count": row.every}
    if row.repeat == Repeat.ONCE:
        return gettext("Once, %(day)s at %(time)s") % {**what, "day": day(first)}
    if row.repeat == Repeat.DAILY:
        text = ngettext("Every day at %(time)s", "Every %(count)s days at %(time)s", row.every)
    else:
        names = _listed([str(WEEKDAYS[number]) for number in row.days])
        what |= {"days": names, "nth": str(NTH.get(row.nth, ""))}
        if row.repeat == Repeat.WEEKLY:
            text = ngettext(
                "Every %(days)s at %(time)s", "Every %(count)s weeks on %(days)s at %(time)s", row.every
            )
        else:
            text = ngettext(
                "Every %(nth)s %(days)s of the month at %(time)s",
                "Every %(nth)s %(days)s of each %(count)s months at %(time)s",
                row.every,
            )
    told = text % what
    if row.until:
        last = gettext("until %(day)s") % {"day": day(datetime.fromisoformat(row.until))}
        return f"{told}, {last}"
    return told


def day(local: datetime) -> str:
    return date_format(local, "j M Y")


def clock(at: float, zone: str) -> str:
    """A moment as the history has it: local time of the schedule's zone."""
    return f"{datetime.fromtimestamp(at, times.zone(zone)):%Y-%m-%d %H:%M} {zone}"


def ends(row: Schedule, begins: Occurrence) -> float | None:
    """When the window that begins then ends; None where it is none."""
    return None if row.minutes is None else times.of(row).end(begins, row.minutes)


def _listed(names: Sequence[str]) -> str:
    if len(names) < 2:
        return "".join(names)
    return gettext("%(some)s and %(last)s") % {"some": ", ".join(names[:-1]), "last": names[-1]}
