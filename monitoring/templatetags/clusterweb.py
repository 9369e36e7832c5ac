"""Template tags that every page shares: icons, states, times. `{% load clusterweb %}`.

{% icon "server" %}              an icon of the sprite, hidden from screen readers
{% icon "server" "small" %}      with a class
{% state group.state %}          badge of a ResourceState, GroupState or NodeState: icon and word
{% state value "plain" %}        without its pill
{% chip resource.state label type %}  the icon alone, with `label` for pointer and screen reader;
                                 what is Online shows the icon of its type instead
{{ state|tone }}                 "is-ok", "is-bad": the class that carries the colour
{% since at %}                   how long ago, counted on by the page: "3 min"
{% until at %}                   how long until then, counted down by the page: "2 h"
{% soon "group" id as row %}     what is scheduled for it within a day
{% moment at %}                  date and time in local time, cluster time given
{{ seconds|duration }}           "0.8 s", "2 min 5 s", "3 d 4 h"
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.resource_dlls import registry
from monitoring.service import clock
from monitoring.service.queries import schedules
from monitoring.service.queries.schedules import RunRow, ScheduleRow

State = ResourceState | GroupState | NodeState
register = template.Library()
SPRITE = "vendor/lucide/icons.svg"

_LOOKS: dict[State, tuple[str, str]] = {
    ResourceState.UNKNOWN: ("is-unknown", "circle-question-mark"),
    ResourceState.INITIALIZING: ("is-off", "circle-dashed"),
    ResourceState.ONLINE: ("is-ok", "circle-check"),
    ResourceState.OFFLINE: ("is-off", "circle-minus"),
    ResourceState.FAILED: ("is-bad", "octagon-x"),
    ResourceState.ONLINE_PENDING: ("is-busy", "circle-arrow-up"),
    ResourceState.OFFLINE_PENDING: ("is-busy", "circle-arrow-down"),
}
_GROUP_LOOKS: dict[State, tuple[str, str]] = {
    GroupState.UNKNOWN: ("is-unknown", "circle-question-mark"),
    GroupState.ONLINE: ("is-ok", "circle-check"),
    GroupState.OFFLINE: ("is-off", "circle-minus"),
    GroupState.FAILED: ("is-bad", "octagon-x"),
    GroupState.PARTIAL_ONLINE: ("is-warn", "triangle-alert"),
    GroupState.PENDING: ("is-busy", "refresh-cw"),
}
_NODE_LOOKS: dict[State, tuple[str, str]] = {
    NodeState.UNKNOWN: ("is-unknown", "circle-question-mark"),
    NodeState.UP: ("is-ok", "circle-check"),
    NodeState.DOWN: ("is-bad", "octagon-x"),
    NodeState.PAUSED: ("is-warn", "circle-pause"),
    NodeState.JOINING: ("is-busy", "circle-arrow-up"),
}
_LOOKS_OF = {ResourceState: _LOOKS, GroupState: _GROUP_LOOKS, NodeState: _NODE_LOOKS}
"""By enum first: values of different enums are equal as integers."""


def looks(state: State) -> tuple[str, str]:
    """Class of the tone and name of the icon of a state."""
    return _LOOKS_OF[type(state)][state]


@register.filter
def tone(state: State) -> str:
    return looks(state)[0]


@register.filter
def state_icon(state: State) -> str:
    return looks(state)[1]


@register.simple_tag
@lru_cache(maxsize=1000)
def icon(name: str, size: str = "") -> SafeString:
    """A page has hundreds of them, and there are few."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true"><use href="{}#{}"/></svg>',
        size,
        static(SPRITE),
        name,
    )


@register.simple_tag
def state(value: State, form: str = "") -> SafeString:
    colour, name = looks(value)
    moving = "pulse" if colour == "is-busy" else ""
    return format_html(
        '<span class="state {} {} {}">{}{}</span>', colour, form, moving, icon(name), value.label
    )


def icon_of_type(type_name: str) -> str:
    """Name of the icon that the resource DLL of this type gives; a plain box where there is none of it."""
    dll = registry.all_types().get(type_name)
    return dll.icon if dll and dll.icon in sprite() else "box"


@cache
def sprite() -> frozenset[str]:
    """Names of the icons that there are."""
    return frozenset(re.findall(r'<symbol id="([^"]+)"', (settings.BASE_DIR / "static" / SPRITE).read_text()))


@register.simple_tag
def chip(value: State, label: str, type_name: str = "") -> SafeString:
    colour, name = looks(value)
    if type_name and value is ResourceState.ONLINE:
        name = icon_of_type(type_name)
    text = f"{label}: {value.label}"
    moving = "pulse" if colour == "is-busy" else ""
    return format_html(
        '<span class="chip {} {}" title="{}">{}<span class="sr-only">{}</span></span>',
        colour,
        moving,
        text,
        icon(name),
        text,
    )


@register.filter
def duration(seconds: float | None) -> str:
    """A length of time in the two largest units that matter."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds < 0.0995 else f"{seconds:.2g} s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    first = next(i for i, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


@register.filter
def local(at: float | None) -> datetime | None:
    """Cluster time as a local datetime, for Django's own `date` filter."""
    return None if at is None else timezone.localtime(datetime.fromtimestamp(at, UTC))


@register.simple_tag
def moment(at: float | None, form: str = "%Y-%m-%d %H:%M:%S") -> SafeString:
    when = local(at)
    if not at or when is None:
        return SafeString("–")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        when.isoformat(timespec="milliseconds"),
        when.strftime("%A, %d %B %Y %H:%M:%S %Z"),
        when.strftime(form),
    )


@register.simple_tag
def since(at: float | None) -> SafeString:
    when = local(at)
    if not at or when is None:
        return SafeString("–")
    return format_html(
        '<time class="since nowrap" data-since="{}" datetime="{}" title="since {}">{}</time>',
        f"{at:.3f}",
        when.isoformat(timespec="milliseconds"),
        when.strftime("%Y-%m-%d %H:%M:%S %Z"),
        short(clock.now() - at),
    )


@register.simple_tag(takes_context=True)
def soon(context: template.Context, subject: str, id: int) -> ScheduleRow | None:
    """What is scheduled for a group or node within a day. One query, however often it stands on a page."""
    kept: Any = context.render_context.dicts[
        0
    ]  # of the whole page: what it includes has one of its own above it
    if "soon" not in kept:
        kept["soon"] = schedules.next_by_subject(clock.now() + 86_400)
    found: ScheduleRow | None = kept["soon"].get((subject, id))
    return found


@register.simple_tag
def schedule_failures() -> list[RunRow]:
    """What was scheduled and failed, and of which nobody has taken note. One query."""
    return schedules.failures()


@register.simple_tag
def until(at: float | None) -> SafeString:
    """How long until a moment to come, counted down by the page."""
    when = local(at)
    if not at or when is None:
        return SafeString("–")
    return format_html(
        '<time class="until nowrap" data-until="{}" datetime="{}" title="{}">{}</time>',
        f"{at:.3f}",
        when.isoformat(timespec="milliseconds"),
        when.strftime("%Y-%m-%d %H:%M:%S %Z"),
        short(at - clock.now()),
    )


def short(seconds: float) -> str:
    """How long ago, in one unit; the page's timer counts on in the same words (live.js)."""
    whole = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
