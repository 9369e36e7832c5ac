"""Training: a panel that breaks things, on a demo of one machine. Elsewhere there is no such page."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from monitoring.core.model import Refused
from monitoring.service import clock, tour, training
from monitoring.web.edits import who
from monitoring.web.roles import require_administrator

BEGAN, ANSWERED = "tour-began", "tour-answered"
"""Where the session keeps the tour: what is done is read from the history."""


@require_administrator
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """What can be broken, and the breaking of it."""
    if not settings.TRAINING:
        raise Http404
    if request.method == "POST" and (step := request.POST.get("tour")):
        _tour(request, step)
        return redirect("training")
    if request.method == "POST":
        try:
            messages.success(request, _break(request))
        except Refused as error:
            messages.error(request, error.message)
        return redirect("training")
    context = {
        "targets": training.targets(settings.HOME),
        "nodes": training.nodes(settings.HOME),
        "seconds": training.FREEZE_SECONDS,
    }
    if (since := request.session.get(BEGAN)) is not None:
        context["tasks"] = tour.tasks(who(request), since, answered=request.session.get(ANSWERED, False))
    return render(request, "training/page.html", context)


def _tour(request: HttpRequest, step: str) -> None:
    """Begin the tour anew, leave it, or take the answer of its question."""
    if step == "answer":
        source = tour.source_of_the_newest_failover()
        if source and request.POST.get("answer", "") == source:
            request.session[ANSWERED] = True
        else:
            messages.error(request, gettext("Look once more: the history tells it in the newest failover."))
        return
    request.session.pop(ANSWERED, None)
    if step == "begin":
        request.session[BEGAN] = clock.now()
    else:
        request.session.pop(BEGAN, None)


def _break(request: HttpRequest) -> str:
    """Do what the button says, "kill:5"; the sentence that the history got."""
    what, _, number = request.POST.get("what", "").partition(":")
    id = int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0
    if what == "heal":
        return training.heal(settings.HOME, who(request))
    actions = {"kill": training.kill, "hang": training.hang, "cut": training.cut}
    if what not in actions:
        raise Refused("what", "Nothing was broken: it was not said what.")
    return actions[what](settings.HOME, id, who(request))
