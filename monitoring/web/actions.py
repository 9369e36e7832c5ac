"""Actions: GET says what would happen and asks, POST hands the intent to the cluster service.

Each address works as a page of its own and as the content of the dialog (htmx). Nothing is
changed by GET. What the reader was shown when they were asked is kept as the number of the
newest event: where more has happened since, they are asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods
from django_htmx.http import trigger_client_event

from monitoring.core.model import Refused
from monitoring.models import Cluster, Event, Group, Node, Resource
from monitoring.models.roles import has_role
from monitoring.service import intents, preview
from monitoring.service.fencing.fences import FENCING
from monitoring.service.schedules.drafts import EITHER, GROUP_KINDS, NODE_KINDS
from monitoring.web import verbs
from monitoring.web.context import live_from
from monitoring.web.operations import toast
from monitoring.web.verbs import Verb

NEWS = 5
FAILBACK = (
    ("none", "Leave the groups where they are"),
    ("immediate", "Bring its groups back now"),
    ("policy", "Bring groups back as their failback settings say"),
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What an action is about. `what` names it: group, node, resource, or cluster."""

    what: str
    row: Cluster | Group | Node | Resource

    @property
    def url(self) -> str:
        return reverse("overview") if self.what == "cluster" else reverse(self.what, args=[self.row.pk])

    @property
    def about(self) -> dict[str, Any]:
        """How the cluster service is told what it is; the cluster itself is not named."""
        return {} if self.what == "cluster" else {self.what: self.row.pk}

    def events(self) -> Any:
        if isinstance(self.row, Cluster):
            return Event.objects.filter(operation__kind__in=verbs.CLUSTER, group=None)
        if isinstance(self.row, Resource):
            return Event.objects.filter(group_id=self.row.group_id)
        return Event.objects.filter(**{f"{self.what}_id": self.row.pk})


class ActionForm(forms.Form):
    """What the confirmation asks for. `seen` is the newest event that the reader was shown."""

    reason = forms.CharField(required=False, max_length=500, strip=True)
    seen = forms.IntegerField(min_value=0)
    node = forms.IntegerField(required=False)
    failback = forms.ChoiceField(required=False, choices=FAILBACK)
    confirm = forms.CharField(required=False, max_length=200)

    def __init__(self, verb: Verb, subject: Subject, data: Any = None) -> None:
        super().__init__(data)
        self.subject = subject
        for name in {"node", "failback", "confirm"} - set(verb.asks):
            del self.fields[name]
        if verb.needs_reason:
            self.fields["reason"].required = True
            self.fields["reason"].error_messages["required"] = "This needs a reason."

    def clean_confirm(self) -> str:
        typed: str = self.cleaned_data["confirm"]
        if typed.strip().upper() != str(self.subject.row).upper():
            raise forms.ValidationError(f"Type {self.subject.row} to confirm.")
        return typed


def cluster_action(request: HttpRequest, verb: str) -> HttpResponse:
    allowed = _allowed(request, verbs.CLUSTER, verb)
    return _action(request, Subject("cluster", get_object_or_404(Cluster)), allowed)


def group_action(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    allowed = _allowed(request, verbs.GROUP, verb)
    return _action(request, Subject("group", get_object_or_404(Group, pk=pk)), allowed)


def node_action(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    allowed = _allowed(request, verbs.NODE, verb)
    return _action(request, Subject("node", get_object_or_404(Node, pk=pk)), allowed)


def resource_action(request: HttpRequest, pk: int, verb: str) -> HttpResponse:
    allowed = _allowed(request, verbs.RESOURCE, verb)
    row = get_object_or_404(Resource.objects.select_related("group"), pk=pk)
    return _action(request, Subject("resource", row), allowed)


def _allowed(request: HttpRequest, known: Mapping[str, Verb], name: str) -> Verb:
    """The verb, for whom may use it. Asked before anything is looked up: others learn nothing."""
    verb = known.get(name)
    if verb is None:
        raise Http404(name)
    if not has_role(request.user, verb.role):
        raise PermissionDenied(f"{verb.label}: this needs the role {verb.role.value}.")
    return verb


@require_http_methods(["GET", "HEAD", "POST"])
def _action(request: HttpRequest, subject: Subject, verb: Verb) -> HttpResponse:
    if request.method != "POST":
        return _ask(request, subject, verb)
    form = ActionForm(verb, subject, request.POST)
    if not form.is_valid():
        return _ask(request, subject, verb, form, status=422)
    if _news(subject, verb, form.cleaned_data["seen"]).exists():
        return _ask(request, subject, verb, form, status=409)
    return _submit(request, subject, verb, form)


def _news(subject: Subject, verb: Verb, seen: int) -> Any:
    """What has happened to the subject since then. Another try of a fence that fails is no news to it."""
    found = subject.events().filter(seq__gt=seen)
    return found.exclude(code=FENCING) if verb.kind in ("fence", "confirm-off") else found


def _submit(request: HttpRequest, subject: Subject, verb: Verb, form: ActionForm) -> HttpResponse:
    given = form.cleaned_data
    about = subject.about
    if "node" in verb.asks:
        about["node"] = given["node"]
    if "failback" in verb.asks:
        about["failback"] = given["failback"] or "none"
    if "confirm" in verb.asks:
        about["confirm"] = given["confirm"]
    try:
        accepted = intents.submit(verb.kind, by=request.user.get_username(), reason=given["reason"], **about)
    except Refused as refused:
        form.add_error(refused.field if refused.field in form.fields else None, refused.message)
        return _ask(request, subject, verb, form, status=422)
    if request.htmx:  # type: ignore[attr-defined]
        note = toast(accepted.operation, accepted.notice)
        answer = render(request, "actions/accepted.html", {"toast": note})
        answer["HX-Reswap"] = "none"
        return trigger_client_event(answer, "closeDialog")
    text = f"{accepted.operation} was accepted. {accepted.notice}".strip()
    messages.success(request, text)
    return redirect("overview" if verb.kind == "evict" else subject.url)


def _ask(
    request: HttpRequest, subject: Subject, verb: Verb, form: ActionForm | None = None, status: int = 200
) -> HttpResponse:
    """The confirmation: what will happen, and the questions; what was typed before stays."""
    seen = live_from(request).seq
    given = form.data if form is not None else request.GET
    expected = preview.of(verb.kind, **subject.about)
    free = [candidate.node for candidate in expected.candidates if not candidate.refusal]
    chosen = given.get("node", "")
    news = []
    if form is not None and status == 409:
        news = list(_news(subject, verb, form.cleaned_data["seen"]).order_by("-seq")[:NEWS])
    context = {
        "layout": "actions/dialog.html" if request.htmx else "actions/page.html",  # type: ignore[attr-defined]
        "subject": subject,
        "verb": verb,
        "preview": expected,
        "form": form,
        "news": news,
        "seen": seen,
        "reason": given.get("reason", ""),
        "chosen": int(chosen) if chosen.isascii() and chosen.isdigit() else next(iter(free), None),
        "failbacks": FAILBACK,
        "failback": given.get("failback") or FAILBACK[0][0],
        "later": _later(subject, verb, given.get("reason", "")),
        "blocked": bool(expected.refused) or ("node" in verb.asks and not free),
    }
    return render(request, "actions/confirm.html", context, status=status)


def _later(subject: Subject, verb: Verb, reason: str) -> str:
    """Where the same is scheduled, "" where it cannot be."""
    known = GROUP_KINDS if subject.what == "group" else NODE_KINDS if subject.what == "node" else ()
    if verb.kind not in (*known, *EITHER) or subject.what == "resource":
        return ""
    query = {"kind": verb.kind, "reason": reason}
    if subject.what != "cluster":
        query[subject.what] = str(subject.row)
    return reverse("schedule_new", query={name: value for name, value in query.items() if value})
