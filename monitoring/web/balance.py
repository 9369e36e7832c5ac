"""Balance: which groups had better be elsewhere and why, and what is chosen of it done now or later."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from monitoring.core.model import Refused
from monitoring.models.roles import may_operate
from monitoring.service import balance, clock
from monitoring.web.context import live_from
from monitoring.web.edits import who
from monitoring.web.schedule_form import author


@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """GET suggests; POST does what was chosen, or schedules it."""
    if request.method != "POST":
        return _show(request)
    if not may_operate(request.user):
        raise PermissionDenied("This needs the role operator.")
    keys, reason = request.POST.getlist("moves"), request.POST.get("reason", "").strip()[:500]
    later = request.POST.get("do") == "later"
    try:
        steps = balance.chosen(balance.suggestion(), keys)
        if later:
            zone = timezone.get_current_timezone_name()
            count = balance.schedule(steps, request.POST.get("at", ""), zone, author(request), reason)
    except Refused as refused:
        return _show(request, {refused.field: refused.message}, keys, status=409)
    except ValidationError as error:
        wrong = {field: " ".join(texts) for field, texts in error.message_dict.items()}
        return _show(request, wrong, keys, status=422)
    if later:
        text = ngettext("%(count)s move was scheduled.", "%(count)s moves were scheduled.", count)
        messages.success(request, text % {"count": count})
        return redirect("schedule")
    _do(request, steps, reason)
    return redirect("balance")


def _do(request: HttpRequest, steps: list[balance.Step], reason: str) -> None:
    done = balance.do(steps, by=who(request), reason=reason)
    if done.asked:
        count = len(done.asked)
        text = ngettext("%(count)s move was asked for.", "%(count)s moves were asked for.", count)
        messages.success(request, text % {"count": count})
    for name, why in done.refused:
        messages.error(request, _("%(name)s was not moved: %(why)s") % {"name": name, "why": why})


def _show(
    request: HttpRequest,
    wrong: dict[str, str] | None = None,
    keys: list[str] | None = None,
    status: int = 200,
) -> HttpResponse:
    live_from(request)
    found = balance.suggestion()
    local = timezone.localtime(datetime.fromtimestamp(clock.now(), timezone.get_current_timezone()))
    tonight = (local + timedelta(days=1)).replace(hour=2, minute=0)
    context: dict[str, Any] = {
        "found": found,
        "chosen": {step.key for step in found.steps if not step.waits_for} if keys is None else set(keys),
        "wrong": wrong or {},
        "reason": request.POST.get("reason", ""),
        "at": request.POST.get("at") or f"{tonight:%Y-%m-%dT%H:%M}",
        "zone": timezone.get_current_timezone_name(),
        "now_at": clock.now(),
    }
    return render(request, "balance/page.html", context, status=status)
