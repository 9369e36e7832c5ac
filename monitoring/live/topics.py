"""What can be watched, and how a change of it becomes HTML.

A page names one topic: "history", "group:5", or, where the same page is looked at in several ways,
with the view in it: "overview?by=state". All who watch the same in the same view share what is
rendered, so a view is written in one way only (`register_view`). A module that draws a page
registers, under the topic's kind, a function that renders what a change altered on it:

    register("group", render_changes)

    def render_changes(subject: int | None, change: Change, role: Role) -> str:
        '''`subject` is the 5 of "group:5", None where the topic has no number.'''

It returns elements that each carry an id, and the page swaps them in where it has that id
("" where nothing on this page changed). They come from the same templates as the page
itself, with the `role` of those who watch, so a viewer's fragments hold no action. An
element with `data-parent="ID"` that the page does not have yet, or has elsewhere, is put
into that parent, in the order of `data-sort`.

A render function runs in a thread of the hub, once for all who watch the topic with the
same role, language and time zone (which are in force while it runs), and reads the database
as it is then: newer than `change` does no harm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.utils import timezone, translation

from monitoring.live.visitor import Reading
from monitoring.models.roles import Role


@dataclass(frozen=True, slots=True)
class Change:
    """What was altered up to and with the event number `seq`, by ids.

    `since` is the number up to which all who watch were told already. `whole`: too much is
    different to be told in parts, so the pages load anew and no fragment is rendered.
    """

    seq: int
    since: int
    groups: frozenset[int] = frozenset()
    nodes: frozenset[int] = frozenset()
    resources: frozenset[int] = frozenset()
    whole: bool = False
    catching_up: bool = False
    """It is for pages that have just come, not for those that were told everything up to `since`."""

    def __or__(self, other: Change) -> Change:
        return Change(
            max(self.seq, other.seq),
            min(self.since, other.since),
            self.groups | other.groups,
            self.nodes | other.nodes,
            self.resources | other.resources,
            self.whole or other.whole,
            self.catching_up or other.catching_up,
        )


@dataclass(frozen=True, slots=True, order=True)
class Topic:
    """One thing that a page watches: a kind, the number of its subject or the view, where it has one."""

    kind: str
    subject: int | None = None
    view: str = ""

    @classmethod
    def parse(cls, text: str) -> Topic | None:
        """Read "overview?by=state" or "group:5"; None where nothing of that kind can be watched."""
        kind, asked, view = text.partition("?")
        if kind in _views:
            return cls(kind, view=_views[kind][0](view))
        kind, _, number = text.partition(":")
        if (
            asked
            or kind not in _renderers
            or (number and not (number.isascii() and number.isdigit() and len(number) < 19))
        ):
            return None
        return cls(kind, int(number) if number else None)


Render = Callable[[int | None, Change, Role], str]
RenderView = Callable[[str, Change, Role], str]
_views: dict[str, tuple[Callable[[str], str], RenderView]] = {}
_renderers: dict[str, Render] = {}
_everywhere: list[Render] = []


def register(kind: str, render: Render) -> None:
    """Let pages watch topics of this kind."""
    _renderers[kind] = render


def register_view(kind: str, canonical: Callable[[str], str], render: RenderView) -> None:
    """The same for a page with views; `canonical` writes a view in its one way, whatever is asked."""
    _views[kind] = canonical, render


def register_everywhere(render: Render) -> None:
    """Add what `render` returns to the changes of every topic: notes that follow the user."""
    _everywhere.append(render)


def render(topic: Topic, change: Change, role: Role, reading: Reading | None = None) -> str:
    """The HTML that brings a page on `topic` from `change.since` to `change.seq`."""
    reading = reading or Reading.of("", "")
    with translation.override(reading.language), timezone.override(reading.zone):
        if topic.kind in _views:
            parts = [_views[topic.kind][1](topic.view, change, role)]
        else:
            parts = [_renderers[topic.kind](topic.subject, change, role)]
        parts += [extra(None, change, role) for extra in _everywhere]
    return "".join(parts)
