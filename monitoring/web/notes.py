"""Writing, changing and deleting one's notes on a failover, in a dialog or on a page of its own."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST
from django_htmx.http import reswap, retarget, trigger_client_event

from monitoring.core.model import Refused
from monitoring.models import FailoverNote, FailoverRecord
from monitoring.service import notes
from monitoring.web import flight
from monitoring.web.edits import done, who
from monitoring.web.roles import require_operator


class NoteForm(forms.Form):
    """What is written."""

    text = forms.CharField(
        max_length=FailoverNote.LONGEST,
        error_messages={"required": gettext_lazy("Write something.")},
    )


@require_operator
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for a note on a failover, and write it down."""
    record = FailoverRecord.objects.filter(pk=pk).first()
    if record is None:
        raise Http404
    form = NoteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            notes.add(pk, form.cleaned_data["text"], who(request))
            return _written(request, pk, _("Your note was written."))
        except Refused as refused:
            form.add_error("text", refused.message)
    return _ask(request, form, record)


@require_operator
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for another text of one's own note. Of another's only its author may say so."""
    note = _found(pk)
    why = notes.why_not(note, who(request))
    form = NoteForm(request.POST or None, initial={"text": note.text})
    if request.method == "POST" and form.is_valid():
        try:
            notes.change(pk, form.cleaned_data["text"], who(request))
            return _written(request, note.record_id, _("Your note was changed."))
        except Refused as refused:
            form.add_error("text", refused.message)
    return _ask(request, form, note.record, note, why)


@require_operator
@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete one's own note."""
    note = _found(pk)
    try:
        notes.delete(pk, who(request))
    except Refused as refused:
        return _ask(request, NoteForm(), note.record, note, refused.message)
    return _written(request, note.record_id, _("Your note was deleted."))


def _found(pk: int) -> FailoverNote:
    try:
        return notes.find(pk)
    except Refused as refused:
        raise Http404(refused.message) from None


def _ask(
    request: HttpRequest,
    form: NoteForm,
    record: FailoverRecord,
    note: FailoverNote | None = None,
    why_not: str = "",
) -> HttpResponse:
    context = {
        "layout": "actions/dialog.html" if request.htmx else "actions/page.html",  # type: ignore[attr-defined]
        "form": form,
        "record": record,
        "note": note,
        "why_not": why_not,
        "text": form.data.get("text", note.text if note else ""),
        "longest": FailoverNote.LONGEST,
    }
    wrong = request.method == "POST"
    return render(request, "history/record/note.html", context, status=422 if wrong else 200)


def _written(request: HttpRequest, record: int, told: str) -> HttpResponse:
    """Back to the failover; in a dialog its notes are put into the page that opened it."""
    if not request.htmx:  # type: ignore[attr-defined]
        return done(request, told, "record", record)
    context: dict[str, Any] = flight.notes_context(record, who(request))
    answer = render(request, "history/record/notes.html", context)
    retarget(reswap(answer, "outerHTML"), "#record-notes")
    trigger_client_event(answer, "closeDialog")
    return answer
