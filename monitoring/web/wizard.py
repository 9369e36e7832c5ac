"""The wizard of new groups: what, name and owners, settings, preview. Administrators only.

Each step is sent to the same address, with all that was said so far in the form. The preview is
a rehearsal: what saving would do, undone (monitoring/service/rehearsal.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from monitoring.core.model import Refused
from monitoring.models import Group
from monitoring.resource_dlls import registry
from monitoring.service import intents, making, rehearsal, topology
from monitoring.service.group_templates import all_templates
from monitoring.web import charts
from monitoring.web.edits import who
from monitoring.web.resources import PropertyValue, dll_of, private_properties
from monitoring.web.roles import require_administrator
from monitoring.web.wizard_form import STEPS, WizardForm


@require_administrator
@require_safe
def choose(request: HttpRequest) -> HttpResponse:
    """What kind of group: the templates, and an empty one."""
    registry.all_types()
    cards = [(template, making.missing_types(template)) for template in all_templates().values()]
    return render(request, "groups/templates.html", {"cards": cards})


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, key: str) -> HttpResponse:
    """One step of the wizard."""
    template = all_templates().get(key)
    if template is None:
        raise Http404
    if request.method != "POST":
        topology.sync_new_types()
        form = WizardForm(template)
        return _render(request, form, form.steps[0])
    form = WizardForm(template, request.POST)
    at = request.POST.get("step", "")
    at = at if at in form.steps else form.steps[0]
    go = request.POST.get("go", "next")
    if go in ("create", "online"):
        return _create(request, form, online=go == "online")
    return _walk(request, form, _target(form, at, go))


def _target(form: WizardForm, at: str, go: str) -> str:
    """The step that was asked for."""
    place = form.steps.index(at)
    named = go.removeprefix("step:")
    if named in form.steps:
        return named
    return form.steps[max(0, min(place + {"back": -1, "check": 0}.get(go, 1), len(form.steps) - 1))]


def _walk(request: HttpRequest, form: WizardForm, target: str) -> HttpResponse:
    """Show the step, or the first one before it in which something is wrong."""
    if wrong := form.first_wrong(before=target):
        form.forget_errors(wrong)
        return _render(request, form, wrong)
    if target != "preview":
        form.errors.clear()
        return _render(request, form, target)
    for field in form.secrets():  # those that are missing are asked for now
        form.errors.pop(field.html_name, None)
    found = _rehearse(request, form) if not form.errors else None
    return _render(request, form, form.first_wrong() or "preview", found)


def _rehearse(request: HttpRequest, form: WizardForm) -> rehearsal.Rehearsal | None:
    """The dry validation; None where it refuses, with the reasons on the form."""
    for field in form.secrets():
        form.cleaned_data.setdefault(field.html_name, None)
    try:
        return rehearsal.rehearse(form.plan(), by=who(request))
    except ValidationError as error:
        form.refuse(error)
        return None


def _create(request: HttpRequest, form: WizardForm, *, online: bool) -> HttpResponse:
    """Make it in earnest; where that is refused, the step in which the reason is."""
    if form.is_valid():
        try:
            group = making.make(form.plan(), by=who(request), reason=form.cleaned_data["reason"])
        except ValidationError as error:
            form.refuse(error)
        else:
            return _made(request, group, form.cleaned_data["reason"], online=online)
    wrong = form.first_wrong() or "preview"
    found = None
    if wrong == "preview" and set(form.errors) <= {f.html_name for f in form.secrets()} | {NON_FIELD_ERRORS}:
        kept = dict(form.errors)
        found = _rehearse(request, form)
        form.errors.update(kept)
    return _render(request, form, wrong, found)


def _made(request: HttpRequest, group: Group, reason: str, *, online: bool) -> HttpResponse:
    count = group.resources.count()
    text = ngettext(
        "%(group)s was created with %(count)d resource.",
        "%(group)s was created with %(count)d resources.",
        count,
    ) % {"group": group.name, "count": count}
    if not online:
        messages.success(request, f"{text} {gettext('It is offline.')}")
        return redirect("group", group.pk)
    try:
        intents.submit("online", by=who(request), reason=reason, group=group.pk)
    except Refused as refused:
        messages.warning(request, f"{text} {gettext('It is offline:')} {refused.message}")
    else:
        messages.success(request, f"{text} {gettext('It is brought online now.')}")
    return redirect("group", group.pk)


@dataclass(frozen=True, slots=True)
class ResourceCard:
    """A resource of the preview: what was set, and what stands at its default."""

    shown: rehearsal.Shown
    set: list[PropertyValue]
    defaults: list[PropertyValue]

    @classmethod
    def of(cls, shown: rehearsal.Shown) -> ResourceCard:
        dll = dll_of(shown.type_name)
        default = {prop.name: prop.default for prop in dll.properties} if dll else {}
        values = private_properties(shown.properties, dll)
        own = [
            v for v in values if shown.properties.get(v.name) not in (default.get(v.name), None, "", False)
        ]
        return cls(shown, own, [v for v in values if v not in own])


def _render(
    request: HttpRequest, form: WizardForm, step: str, found: rehearsal.Rehearsal | None = None
) -> HttpResponse:
    place = form.steps.index(step)
    context: dict[str, Any] = {
        "form": form,
        "template": form.template,
        "step": step,
        "steps": [(name, STEPS[name], number < place) for number, name in enumerate(form.steps)],
        "hidden": list(form.hidden(step)),
        "missing": making.missing_types(form.template),
        "wrong": bool(form.errors),
    }
    if found is not None:
        context |= {
            "found": found,
            "detail": found.detail,
            "group": found.detail.summary,
            "graph": charts.graph(found.detail),
            "cards": [ResourceCard.of(shown) for shown in found.resources],
            "owners": _owner_names(form),
        }
    return render(request, "groups/wizard.html", context, status=422 if form.errors else 200)


def _owner_names(form: WizardForm) -> tuple[str, str]:
    """Preferred and possible owners, in words."""
    values = form.cleaned_data
    chosen = [node.name for node in form.nodes if str(node.pk) in values["owners"]]
    preferred = values["owner"].name if values["owner"] else gettext("none")
    return preferred, gettext("all nodes") if len(chosen) == len(form.nodes) else ", ".join(chosen)
