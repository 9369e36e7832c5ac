"""The form by which something is scheduled, and what it foresees while it is filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from monitoring.core.model import Refused
from monitoring.core.schedule import UNDO
from monitoring.models import Group, Node, Schedule
from monitoring.service import clock
from monitoring.service.schedules import edits, foresee, times, words
from monitoring.service.schedules.drafts import (
    DAYS,
    EITHER,
    GROUP_KINDS,
    NODE_KINDS,
    NTH,
    Draft,
    draft_of,
    read,
)
from monitoring.web.edits import done, who
from monitoring.web.roles import require_operator

KINDS = [
    (
        gettext_lazy("A group"),
        [
            ("move", gettext_lazy("Move a group")),
            ("offline", gettext_lazy("Take a group offline")),
            ("online", gettext_lazy("Bring a group online")),
            ("restart", gettext_lazy("Restart a group")),
        ],
    ),
    (
        gettext_lazy("A node"),
        [
            ("drain", gettext_lazy("Drain a node")),
            ("pause", gettext_lazy("Pause a node")),
            ("resume", gettext_lazy("Resume a node")),
        ],
    ),
    (
        gettext_lazy("Maintenance"),
        [
            ("maintenance", gettext_lazy("Maintenance of a group, or of the cluster")),
            ("end-maintenance", gettext_lazy("End of maintenance")),
        ],
    ),
]
REPEATS = [
    ("once", gettext_lazy("Once")),
    ("daily", gettext_lazy("Every day")),
    ("weekly", gettext_lazy("Every week")),
    ("monthly", gettext_lazy("Every month")),
]
FAILBACKS = [
    ("none", gettext_lazy("Leave the groups where they are")),
    ("immediate", gettext_lazy("Bring its groups back")),
    ("policy", gettext_lazy("Bring groups back as their failback settings say")),
]


class ScheduleForm(forms.Form):
    """What is typed. The service decides what is valid, and names the same fields."""

    kind = forms.ChoiceField(label=gettext_lazy("What is done"), choices=KINDS, initial="drain")
    group = forms.ChoiceField(label=gettext_lazy("Group"), required=False)
    node = forms.ChoiceField(label=gettext_lazy("Node"), required=False)
    at = forms.CharField(
        label=gettext_lazy("When"),
        widget=forms.TextInput(attrs={"type": "datetime-local"}),
        error_messages={"required": gettext_lazy("Choose a day and a time.")},
    )
    ends = forms.CharField(
        label=gettext_lazy("End of the window"),
        required=False,
        widget=forms.TextInput(attrs={"type": "datetime-local"}),
        help_text=gettext_lazy("Then it is taken back: a node is resumed, maintenance ends. Empty: never."),
    )
    failback = forms.ChoiceField(
        label=gettext_lazy("When the node is resumed"), choices=FAILBACKS, required=False
    )
    repeat = forms.ChoiceField(label=gettext_lazy("How often"), choices=REPEATS, initial="once")
    every = forms.IntegerField(
        label=gettext_lazy("Every so many"),
        required=False,
        initial=1,
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
        help_text=gettext_lazy("Days, weeks or months: 2 is every other one."),
    )
    days = forms.MultipleChoiceField(
        label=gettext_lazy("On these days"),
        required=False,
        choices=list(zip(DAYS, words.WEEKDAYS, strict=True)),
        widget=forms.CheckboxSelectMultiple,
    )
    nth = forms.ChoiceField(
        label=gettext_lazy("Which of the month"),
        required=False,
        choices=[(name, words.NTH[nth]) for name, nth in NTH.items()],
    )
    until = forms.CharField(
        label=gettext_lazy("Until, with that day"),
        required=False,
        widget=forms.TextInput(attrs={"type": "date"}),
        help_text=gettext_lazy("Empty: for ever."),
    )
    zone = forms.CharField(
        label=gettext_lazy("Time zone"),
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("All times above are by its clocks, in summer and in winter."),
    )
    tolerance_minutes = forms.IntegerField(
        label=gettext_lazy("May be late by"),
        initial=15,
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
        help_text=gettext_lazy("Minutes. If the cluster service is down for longer, this time is missed."),
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        required=False,
        max_length=500,
        help_text=gettext_lazy("Kept in the history, each time that it is done."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups, nodes = (
            [(name, name) for name in model.objects.order_by("name").values_list("name", flat=True)]
            for model in (Group, Node)
        )
        _choices(self.fields["group"], [("", _("– choose –")), *groups])
        _choices(self.fields["node"], [("", _("– choose –")), *nodes])
        zone = self.fields["zone"]
        if not self.is_bound and not self.initial.get("zone"):
            zone.initial = timezone.get_current_timezone_name()

    def draft(self) -> Draft:
        """What was typed, without what does not belong to what is done. Only where the form is valid."""
        given = dict(self.cleaned_data)
        kind, repeat = given["kind"], given["repeat"]
        if kind in NODE_KINDS:
            given["group"] = ""
        elif kind != "move":
            given["node"] = ""
        if kind not in UNDO:
            given["ends"] = ""
        if kind not in (*NODE_KINDS,):
            given["failback"] = "none"
        if repeat not in ("weekly", "monthly"):
            given["days"] = ()
        if repeat != "monthly":
            given["nth"] = ""
        if repeat == "once":
            given |= {"until": "", "every": 1}
        return Draft(**{**given, "days": tuple(given["days"]), "every": given["every"] or 1})

    def refuse(self, error: ValidationError) -> None:
        """Show what the service refused, beside the fields that it named."""
        by_field = error.message_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.messages}
        for name, messages in by_field.items():
            for message in messages:
                self.add_error(name if name in self.fields else None, message)

    def row(self) -> Schedule | None:
        """The unsaved schedule; None where something is wrong, with the errors on the form."""
        if not self.is_valid():
            return None
        try:
            return read(self.draft(), clock.now())
        except ValidationError as error:
            self.refuse(error)
            return None


def _choices(field: forms.Field, choices: list[tuple[str, str]]) -> None:
    assert isinstance(field, forms.ChoiceField)
    field.choices = choices


def author(request: HttpRequest) -> edits.Author:
    """Who is signed in."""
    return edits.Author(who(request), request.user.pk)


@require_operator
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """GET may name what is chosen beforehand: kind, group, node, at."""
    if request.method == "POST":
        return _save(request, None)
    return _show(request, ScheduleForm(initial=_proposed(request.GET)), None)


@require_operator
@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Another in its place, in the name of who changes it."""
    row = get_object_or_404(Schedule, pk=pk)
    if request.method == "POST":
        return _save(request, row)
    return _show(request, ScheduleForm(initial=vars(draft_of(row))), row)


@require_operator
@require_safe
def preview(request: HttpRequest) -> HttpResponse:
    """What would happen, for what is typed so far."""
    form = ScheduleForm(request.GET)
    return render(request, "schedule/parts/foreseen.html", _foreseen(form))


def _save(request: HttpRequest, row: Schedule | None) -> HttpResponse:
    form = ScheduleForm(request.POST)
    if form.is_valid():
        try:
            if row is None:
                made = edits.create(form.draft(), author(request))
            else:
                made = edits.change(row.pk, form.draft(), author(request))
            return done(
                request, _("Scheduled: %(what)s.") % {"what": words.title(made)}, "schedule_detail", made.pk
            )
        except ValidationError as error:
            form.refuse(error)
        except Refused as refused:
            form.add_error(None, refused.message)
    return _show(request, form, row, status=422)


def _show(request: HttpRequest, form: ScheduleForm, row: Schedule | None, status: int = 200) -> HttpResponse:
    shown = form if form.is_bound else ScheduleForm({**_typed(form)})
    context = {"form": form, "row": row, "zones": times.zones(), **_foreseen(shown)}
    return render(request, "schedule/form.html", context, status=status)


def _typed(form: ScheduleForm) -> Mapping[str, Any]:
    """What an unbound form shows, as if it were sent."""
    return {name: form[name].value() or "" for name in form.fields if form[name].value() is not None}


def _foreseen(form: ScheduleForm) -> dict[str, Any]:
    """What is foreseen, or what is wrong so far; nothing is wrong yet before it is said what it is about."""
    row = form.row()
    about = form.data.get("kind") in EITHER or form.data.get("group") or form.data.get("node")
    known = [(form[name].label, texts) for name, texts in form.errors.items() if name in form.fields]
    return {
        "foreseen": foresee.foresee(row) if row is not None else None,
        "wrong": [(label, text) for label, texts in known for text in texts] if about else [],
    }


def _proposed(asked: QueryDict) -> dict[str, Any]:
    """What is chosen beforehand: by the address, else the next full hour tomorrow."""
    local = timezone.localtime(datetime.fromtimestamp(clock.now(), timezone.get_current_timezone()))
    tomorrow = (local + timedelta(days=1)).replace(hour=2, minute=0)
    draft = Draft(at=f"{tomorrow:%Y-%m-%dT%H:%M}")
    kind = asked.get("kind", "")
    if kind in (*GROUP_KINDS, *NODE_KINDS, *EITHER):
        draft = replace(draft, kind=kind)
    day = asked.get("day", "")
    if day:
        draft = replace(draft, at=f"{day[:10]}T02:00")
    proposed: dict[str, Any] = {
        "group": asked.get("group", ""),
        "node": asked.get("node", ""),
        "at": asked.get("at") or draft.at,
    }
    if kind:
        proposed["kind"] = draft.kind or "drain"
    if asked.get("reason"):
        proposed["reason"] = asked.get("reason", "")
    return proposed
