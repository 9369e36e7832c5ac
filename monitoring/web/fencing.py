"""Fence devices and the levels of a node: all may look, operators test, administrators edit."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_htmx.http import trigger_client_event

from monitoring.core.model import Refused
from monitoring.fencing import registry
from monitoring.fencing.api import FenceError, FenceMethod, Property
from monitoring.fencing.fence_agent import FenceAgent, metadata
from monitoring.live.topics import Change
from monitoring.models import FenceDevice, FenceStep, Node, Operation
from monitoring.models.roles import Role
from monitoring.service import topology
from monitoring.service.fencing import devices
from monitoring.service.queries import fencing
from monitoring.web.context import for_role, live_from
from monitoring.web.edits import carry_out, done, refused, who
from monitoring.web.fence_forms import FenceDeviceForm, FenceStepForm
from monitoring.web.operations import toast
from monitoring.web.roles import require_administrator, require_operator


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """All devices. Two queries."""
    live_from(request)
    return render(request, "fencing/list.html", {"devices": fencing.device_list()})


def render_changes(subject: int | None, change: Change, role: Role) -> str:
    """The list of devices, whole: there are few."""
    return render_to_string("fencing/rows.html", {"devices": fencing.device_list(), **for_role(role)})


@dataclass(frozen=True, slots=True)
class MethodCard:
    """A method as it is offered; a template would call the class itself."""

    name: str
    description: str
    kinds: tuple[str, ...]

    @property
    def single(self) -> bool:
        return self.kinds == ("",)


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """A new device: first its method and agent are chosen, then its properties are filled in."""
    name, kind = request.GET.get("method", ""), request.GET.get("kind", "")
    properties, problem = _properties(name, kind)
    if problem:
        cards = [
            MethodCard(one, method.description, tuple(kind.name for kind in method.kinds()))
            for one, method in registry.all_methods().items()
        ]
        offered = {"methods": cards, "broken": registry.broken().items()}
        return render(request, "fencing/choose.html", offered)
    form = FenceDeviceForm(properties, request.POST or None, creating=True)

    def edit() -> None:
        topology.create_fence_device(
            form.values(),
            method=name,
            kind=kind,
            properties=form.private_values(),
            by=who(request),
            reason=form.cleaned_data["reason"],
        )

    if request.method == "POST" and carry_out(form, edit):
        text = f"{form.cleaned_data['name']} was added. Test it, then add it to the levels of a node."
        return done(request, text, "fencing")
    filled = {"form": form, "what": kind or name, "about": _about(name, kind)}
    return render(request, "fencing/device.html", filled, status=422 if form.errors else 200)


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def device(request: HttpRequest, pk: int) -> HttpResponse:
    """Everything about a device that can be edited; secrets can be set and not be read."""
    row = get_object_or_404(FenceDevice, pk=pk)
    properties, problem = _properties(row.method, row.kind)
    form = FenceDeviceForm.of(row, properties, request.POST or None)

    def edit() -> None:
        topology.edit_fence_device(
            pk,
            form.values(),
            properties=form.private_values(),
            by=who(request),
            reason=form.cleaned_data["reason"],
        )

    if request.method == "POST" and carry_out(form, edit):
        return done(request, f"{form.cleaned_data['name']} was saved.", "fencing")
    context = {
        "form": form,
        "device": row,
        "what": row.kind or row.method,
        "about": _about(row.method, row.kind),
        "problem": problem,
    }
    return render(request, "fencing/device.html", context, status=422 if form.errors else 200)


@require_administrator
@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """The end of a device."""
    row = get_object_or_404(FenceDevice, pk=pk)
    try:
        topology.delete_fence_device(pk, by=who(request), reason=_reason(request))
    except ValidationError as error:
        return refused(request, error, "fence_device", pk)
    return done(request, f"{row} was deleted.", "fencing")


@require_operator
@require_http_methods(["GET", "HEAD", "POST"])
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """Have a device tested, for a node where one is named. The result comes to the page by itself."""
    row = get_object_or_404(FenceDevice, pk=pk)
    given = request.POST if request.method == "POST" else request.GET
    number = given.get("node", "")
    known = Node.objects.filter(
        pk=number if number.isascii() and number.isdigit() and len(number) < 19 else 0
    )
    node, refusal = known.first(), ""
    if request.method == "POST":
        try:
            about = node.pk if node else None
            operation = devices.request_test(pk, node=about, by=who(request), reason=_reason(request))
        except Refused as error:
            refusal = error.message
        else:
            return _accepted(request, operation, node)
    context = {
        "layout": "actions/dialog.html" if request.htmx else "actions/page.html",  # type: ignore[attr-defined]
        "device": row,
        "node": node,
        "refused": refusal,
        "reason": _reason(request),
    }
    return render(request, "fencing/test.html", context, status=422 if refusal else 200)


def _accepted(request: HttpRequest, operation: Operation, node: Node | None) -> HttpResponse:
    """The test was asked for: a note in the dialog's place, or the page that it was asked from."""
    if request.htmx:  # type: ignore[attr-defined]
        answer = render(request, "actions/accepted.html", {"toast": toast(operation)})
        answer["HX-Reswap"] = "none"
        return trigger_client_event(answer, "closeDialog")
    messages.success(request, f"{operation.subject} is being tested.")
    return redirect("node", node.pk) if node else redirect("fencing")


@require_administrator
@require_safe
def levels(request: HttpRequest, pk: int) -> HttpResponse:
    """The levels of a node, to be edited. Five queries."""
    get_object_or_404(Node, pk=pk)
    context = {"fencing": fencing.node_fencing(pk), "devices": fencing.device_list()}
    return render(request, "fencing/node.html", context)


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def step_create(request: HttpRequest, pk: int) -> HttpResponse:
    """A device for a level of a node: `device` in the query says which."""
    node = get_object_or_404(Node, pk=pk)
    number = request.GET.get("device", "")
    row = get_object_or_404(FenceDevice, pk=int(number) if number.isascii() and number.isdigit() else 0)
    newest = FenceStep.objects.filter(node=node).order_by("-level").first()
    form = FenceStepForm(row, request.POST or None, initial={"level": newest.level + 1 if newest else 1})

    def edit() -> None:
        topology.add_fence_step(
            pk,
            row.pk,
            form.values(),
            properties=form.private_values(),
            by=who(request),
            reason=form.cleaned_data["reason"],
        )

    if request.method == "POST" and carry_out(form, edit):
        return done(request, f"{row} was added. Test it for {node}.", "node_fencing", pk)
    context = {"form": form, "device": row, "node": node}
    return render(request, "fencing/step.html", context, status=422 if form.errors else 200)


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def step(request: HttpRequest, pk: int) -> HttpResponse:
    """A device in a level of a node: its level, its times, the node's own values."""
    row = get_object_or_404(FenceStep.objects.select_related("node", "device"), pk=pk)
    form = FenceStepForm.of(row, request.POST or None)

    def edit() -> None:
        topology.edit_fence_step(
            pk,
            form.values(),
            properties=form.private_values(),
            by=who(request),
            reason=form.cleaned_data["reason"],
        )

    if request.method == "POST" and carry_out(form, edit):
        return done(request, "The level was saved.", "node_fencing", row.node_id)
    context = {"form": form, "device": row.device, "node": row.node, "step": row}
    return render(request, "fencing/step.html", context, status=422 if form.errors else 200)


@require_administrator
@require_POST
def step_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a device out of a level."""
    row = get_object_or_404(FenceStep.objects.select_related("node", "device"), pk=pk)
    try:
        topology.remove_fence_step(pk, by=who(request), reason=_reason(request))
    except ValidationError as error:
        return refused(request, error, "fence_step", pk)
    return done(request, f"{row.device} was taken out.", "node_fencing", row.node_id)


def _properties(name: str, kind: str) -> tuple[tuple[Property, ...], str]:
    """What can be set of such a device, and why it cannot be used here, "" where it can."""
    try:
        method: type[FenceMethod] = registry.get(name)
        if kind not in {one.name for one in method.kinds()}:
            raise FenceError(f"there is no {name} {kind!r} on this machine")
        return method.properties(kind), ""
    except FenceError as error:
        return (), str(error)


def _about(name: str, kind: str) -> str:
    """What the agent or method says that it is for."""
    try:
        if name == FenceAgent.method_name:
            return metadata(kind).title
        return registry.get(name).description
    except FenceError:
        return ""


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "")[:500]
