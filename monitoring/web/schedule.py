"""What is scheduled: the calendar with the list, the page of one, and what is done with it there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect, HttpResponseClientRefresh

from monitoring.core.model import Refused
from monitoring.live.topics import Change
from monitoring.models import Schedule
from monitoring.models.roles import Role
from monitoring.service import clock
from monitoring.service.queries import schedules
from monitoring.service.schedules import edits, foresee, runs, words
from monitoring.web import calendar
from monitoring.web.context import for_role, live_from
from monitoring.web.edits import done, who
from monitoring.web.roles import require_operator

RUNS = 12


@dataclass(frozen=True, slots=True)
class Act:
    """Something that is done with a schedule. `lead` says what it leads to."""

    label: Any
    icon: str
    lead: Any
    do: Callable[[int, str], object]
    done: Any
    tone: str = "primary"


ACTS: dict[str, Act] = {
    "run": Act(
        gettext_lazy("Run now"),
        "play",
        gettext_lazy("It is done now, in your name. Its times stay as they are."),
        runs.run_now,
        gettext_lazy("It was asked for."),
    ),
    "end": Act(
        gettext_lazy("End the window"),
        "undo-2",
        gettext_lazy("What the window began is taken back now, in your name."),
        runs.end_now,
        gettext_lazy("The window was ended."),
    ),
    "skip": Act(
        gettext_lazy("Skip the next time"),
        "skip-forward",
        gettext_lazy("The next time is left out. The history says by whom."),
        edits.skip,
        gettext_lazy("The next time was skipped."),
    ),
    "pause": Act(
        gettext_lazy("Pause"),
        "pause",
        gettext_lazy("It is not run until somebody lets it go on. An open window ends as planned."),
        edits.pause,
        gettext_lazy("It is paused."),
    ),
    "go-on": Act(
        gettext_lazy("Go on"),
        "play",
        gettext_lazy("It is run again, from its next time on."),
        edits.go_on,
        gettext_lazy("It goes on."),
    ),
    "delete": Act(
        gettext_lazy("Delete"),
        "trash-2",
        gettext_lazy("It is not run any more. What it did stays in the history."),
        edits.delete,
        gettext_lazy("It was deleted."),
        tone="danger",
    ),
}


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Calendar, list and runs. Seven queries at most."""
    live_from(request)
    view = calendar.WEEK if request.GET.get("view") == calendar.WEEK else calendar.MONTH
    now, zone = clock.now(), timezone.get_current_timezone()
    today = datetime.fromtimestamp(now, zone).date()
    about = _day(request.GET.get("day", ""), today)
    shown = calendar.draw(view, about, zone, now)
    context = {
        "calendar": shown,
        "zone": timezone.get_current_timezone_name(),
        "ways": _ways(shown, about, today),
        **_lists(),
    }
    return render(request, "schedule/page.html", context)


def _day(text: str, today: date) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return today
    return found if 2000 <= found.year <= 2200 else today


@dataclass(frozen=True, slots=True)
class Way:
    """A link that moves the calendar; `key` does the same."""

    name: str
    label: str
    icon: str
    key: str
    address: str
    here: bool = False


def _ways(shown: calendar.Calendar, about: date, today: date) -> list[Way]:
    def to(day: date, view: str = shown.view) -> str:
        return reverse("schedule", query={"view": view, "day": day.isoformat()})

    other = today if about.replace(day=1) == today.replace(day=1) else about
    return [
        Way("before", _("Earlier"), "chevron-left", "ArrowLeft", to(shown.before)),
        Way("today", _("Today"), "", "t", reverse("schedule", query={"view": shown.view})),
        Way("after", _("Later"), "chevron-right", "ArrowRight", to(shown.after)),
        Way("month", _("Month"), "", "m", to(other, calendar.MONTH), shown.view == calendar.MONTH),
        Way("week", _("Week"), "", "w", to(other, calendar.WEEK), shown.view == calendar.WEEK),
    ]


def _lists() -> dict[str, Any]:
    return {
        "schedules": schedules.schedules(),
        "runs": schedules.runs(limit=RUNS),
        "failures": schedules.failures(),
    }


def render_changes(subject: int | None, change: Change, role: Role) -> str:
    """The lists, where somebody looks at them."""
    return render_to_string("schedule/live.html", {**_lists(), **for_role(role)})


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One of them: its times, what it would do now, what became of it."""
    live_from(request)
    row = get_object_or_404(Schedule.objects.select_related("group", "node"), pk=pk)
    context = {
        "row": schedules.row_of(row),
        "foreseen": foresee.foresee(row),
        "runs": schedules.runs(pk, limit=50),
    }
    return render(request, "schedule/detail.html", context)


@require_operator
@require_http_methods(["GET", "HEAD", "POST"])
def act(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    """GET asks, POST does it."""
    row = get_object_or_404(Schedule.objects.select_related("group", "node"), pk=pk)
    known = ACTS[verb]
    refused = ""
    if request.method == "POST":
        try:
            known.do(pk, who(request))
        except Refused as error:
            refused = error.message
        else:
            return _done(request, verb, pk, str(known.done))
    context = {
        "layout": "actions/dialog.html" if request.htmx else "actions/page.html",  # type: ignore[attr-defined]
        "act": known,
        "verb": verb,
        "row": schedules.row_of(row),
        "refused": refused,
        "foreseen": foresee.foresee(row) if verb == "run" else None,
        "title": words.title(row),
    }
    return render(request, "schedule/confirm.html", context, status=409 if refused else 200)


def _done(request: HttpRequest, verb: str, pk: int, text: str) -> HttpResponse:
    """On to what is left of it; from a dialog back to the page that it was opened on."""
    to, args = ("schedule", []) if verb == "delete" else ("schedule_detail", [pk])
    answer = done(request, text, to, *args)
    if request.htmx:  # type: ignore[attr-defined]
        here = reverse("schedule_detail", args=[pk])
        if verb == "delete" and request.htmx.current_url_abs_path == here:  # type: ignore[attr-defined]
            return HttpResponseClientRedirect(reverse(to))
        return HttpResponseClientRefresh()
    return answer


@require_operator
@require_POST
def note(request: HttpRequest, pk: int) -> HttpResponse:
    """Somebody has taken note of a failure."""
    try:
        run = edits.note_failure(pk, who(request))
    except Refused as error:
        raise Http404(error.message) from None
    return done(request, _("You took note: %(what)s.") % {"what": run.title}, "schedule")
