"""The page of oneself: password, sessions. Sections are panels of one template, each with its own form."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from monitoring.access import visits
from monitoring.web.roles import role_not_required


@role_not_required
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """All that somebody may see and change about themselves."""
    assert isinstance(request.user, User)
    context = {"visits": visits.listed(request.user, request.session.session_key)}
    return render(request, "account/page.html", context)


@role_not_required
@require_POST
def end_session(request: HttpRequest) -> HttpResponse:
    """The end of one other session of one's own (`session`), or of all others."""
    assert isinstance(request.user, User)
    asked = request.POST.get("session", "")
    if asked == "others":
        count = visits.end_all(request.user, but=request.session.session_key)
        text = ngettext("%(count)d other session has ended.", "%(count)d other sessions have ended.", count)
        messages.success(request, text % {"count": count})
    elif asked.isascii() and asked.isdigit() and len(asked) < 19 and visits.end(request.user, int(asked)):
        messages.success(request, _("The session has ended."))
    else:
        messages.error(request, _("There is no such session of yours any more."))
    return redirect("account")
