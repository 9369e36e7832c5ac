"""Template tags of the pages about groups, nodes, resources and history. `{% load pages %}`.

{% type_icon "Network Name" %}   icon of a resource type
{{ 12.345|ms }}                  "12.3 ms", "1.2 s": a probe time in milliseconds
{{ 900000|length_of_time }}      "15 min": a configured time in milliseconds
{{ severity|weight }}            "is-bad": the tone of an event's severity
{{ record.state|outcome_tone }}  the tone of how a failover or operation ended
{{ at|offset_from:start }}        "+0.734 s": a moment by the time since another
{{ event.seq|newest_first }}     key by which text sorts numbers, the largest first
{{ share|percent }}              "99.987%": a share of 0 to 1, never rounded up to 100%
{{ row|served_by }}              who served in a row of availability: (node, seconds up), the longest first
{% events_around id since until %}  address of the events of a group around that time
{% story event %}                an event's sentence, the names in it linked to their pages
{% moment_address at %}          address of the cluster as it was then
{{ step|step_icon }}             icon of a sentence in a failover's chain
"""

from __future__ import annotations

import re

from django import template
from django.urls import reverse
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from monitoring.core.availability import Row
from monitoring.core.chain import Role, Step
from monitoring.core.states import Severity
from monitoring.service.queries.history import EventRow
from monitoring.templatetags.clusterweb import duration, icon, icon_of_type, local
from monitoring.web.fields import write_duration
from monitoring.web.lanes import Mark

register = template.Library()

_OUTCOMES = {
    "running": ("is-busy", "refresh-cw"),
    "done": ("is-ok", "circle-check"),
    "failed": ("is-bad", "octagon-x"),
    "superseded": ("is-off", "circle-minus"),
    "continued": ("is-warn", "arrow-right-left"),
}
_WEIGHTS = {
    Severity.INFORMATION: ("is-off", "info"),
    Severity.WARNING: ("is-warn", "triangle-alert"),
    Severity.ERROR: ("is-bad", "circle-alert"),
    Severity.SEVERE: ("is-bad", "octagon-x"),
}
_STEPS = {
    Role.SIGN: "info",
    Role.FAILURE: "circle-alert",
    Role.REMEDY: "rotate-cw",
    Role.LIMIT: "ban",
    Role.NODE: "server",
    Role.FENCE: "plug-zap",
    Role.ASKED: "user",
    Role.DECISION: "arrow-right-left",
    Role.HANDOVER: "flag",
    Role.OUTCOME: "circle-check",
}


@register.simple_tag
def type_icon(type_name: str, size: str = "") -> SafeString:
    return icon(icon_of_type(type_name), size)


@register.filter
def ms(value: float) -> str:
    if value >= 1000:
        return str(duration(value / 1000))
    return f"{value:.3g} ms" if value >= 1 else f"{value:.2f} ms"


@register.filter
def length_of_time(value: int) -> str:
    return write_duration(value)


@register.filter
def offset_from(at: float, start: float) -> str:
    return f"{at - start:+.3f} s"


@register.filter
def newest_first(number: int) -> str:
    return f"{10**16 - number:017}"


@register.simple_tag
def events_around(group: int | None, since: float, until: float | None) -> str:
    """Address of the events of a group from a minute before a moment to the end of what began then."""
    form = "%Y-%m-%dT%H:%M:%S"
    asked = {"group": str(group)} if group else {}
    begin, end = local(since - 60), local(min(until or since, since + 86_400) + 60)
    assert begin is not None and end is not None
    return reverse(
        "history_events", query={**asked, "since": begin.strftime(form), "until": end.strftime(form)}
    )


@register.simple_tag
def span_tells(name: str, mark: Mark) -> str:
    """What a span of the timeline was, as a sentence or two."""
    span = mark.span
    begun = local(span.since)
    ended = local(mark.until) if mark.until is not None else None
    assert begun is not None
    time = f"from {begun:%d %b %H:%M:%S}" + (f" to {ended:%d %b %H:%M:%S}" if ended else ", still so")
    length = "" if mark.until is None else f" ({duration(mark.until - span.since)})"
    if mark.count > 1:
        worst = f"the worst was {span.state.label} on {span.node}. {span.cause}"
        return f"{name}: {mark.count} changes {time}; {worst}"
    where = f" on {span.node}" if span.node else ""
    by = f" Asked for by {span.by}." if span.by else ""
    return f"{name}: {span.state.label}{where}, {time}{length}. {span.cause}{by}"


@register.filter
def percent(share: float | None) -> str:
    return "–" if share is None else f"{int(share * 100_000) / 1000:.3f}%"


@register.filter
def served_by(row: Row) -> list[tuple[str, float]]:
    lengths: dict[str, float] = {}
    for stint in row.served:
        lengths[stint.node] = lengths.get(stint.node, 0.0) + stint.up
    return sorted(lengths.items(), key=lambda one: -one[1])


@register.filter
def weight(severity: Severity) -> str:
    return _WEIGHTS[severity][0]


@register.filter
def weight_icon(severity: Severity) -> str:
    return _WEIGHTS[severity][1]


@register.filter
def outcome_tone(state: str) -> str:
    return _OUTCOMES[state][0]


@register.filter
def outcome_icon(state: str) -> str:
    return _OUTCOMES[state][1]


@register.simple_tag
def moment_address(at: float) -> str:
    when = local(at)
    assert when is not None
    return reverse("moment", query={"at": when.strftime("%Y-%m-%dT%H:%M:%S")})


@register.filter
def step_icon(step: Step) -> str:
    return "octagon-x" if step.bad and step.role is Role.OUTCOME else _STEPS[step.role]


@register.simple_tag
def story(event: EventRow | Step) -> SafeString:
    """Each name is linked where it stands first; one that is gone stays text."""
    pages = {
        event.resource_name: ("resource", event.resource),
        event.node_name: ("node", event.node),
    }
    if isinstance(event, EventRow):
        pages[event.group_name] = ("group", event.group)
    links = {name: reverse(page, args=[id]) for name, (page, id) in pages.items() if name and id}
    if not links:
        return escape(event.text)
    # Longest first: a resource's name often begins with its group's.
    names = "|".join(re.escape(name) for name in sorted(links, key=len, reverse=True))
    parts = re.split(rf"(?<!\w)({names})(?!\w)", event.text)
    return mark_safe("".join(_linked(part, links) for part in parts))  # noqa: S308  # every part is escaped


def _linked(part: str, links: dict[str, str]) -> SafeString:
    address = links.pop(part, None)
    return escape(part) if address is None else format_html('<a href="{}">{}</a>', address, part)
