"""In which language and time zone a page is written, and the page on which a user chooses.

Language: what the user chose, else the first of the browser's that there is, else the cluster's
(CLUSTERWEB_LANGUAGE). Time zone: `?tz=` of the address, so that a shared link shows the times
that its sender saw; else what the user chose; else the cluster's (TZ). Each page says its zone.

What the user chose is kept with the user, and at hand in the session: no query a request. Programs
that call the REST API are always answered in English.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, trans_real
from django.views.decorators.http import require_http_methods

from monitoring.live.visitor import Reading, zones
from monitoring.models import Preference
from monitoring.web.roles import role_not_required

LANGUAGE, ZONE = "language", "zone"
BROWSER = "browser"
COOKIE = "zone"
"""Where the page notes the browser's zone (theme.js): a server cannot see it otherwise."""
PROGRAMS = ("/api/", "/node/")
TIMES = ("since", "until", "at", "to", "end")
"""What is called so in an address is a local time of the zone `tz`."""


class ReadingMiddleware:
    """Puts language and time zone in force while a request is answered."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(PROGRAMS):
            return self.get_response(request)
        _remember(request)
        reading = of(request)
        with translation.override(reading.language), timezone.override(reading.zone):
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", reading.language)
            return response


def of(request: HttpRequest) -> Reading:
    """How this request is answered."""
    here = QueryDict(urlsplit(request.headers.get("HX-Current-URL", "")).query)
    asked = request.GET.get("tz") or here.get("tz", "")
    zone = asked if asked in zones() else _zone(request)
    return Reading.of(request.session.get(LANGUAGE) or _accepted(request), zone)


def _remember(request: HttpRequest) -> None:
    """Take what the user chose earlier into a new session. One query, once a session."""
    if LANGUAGE in request.session or not isinstance(request.user, User) or not request.user.is_authenticated:
        return
    kept = Preference.objects.filter(user=request.user).first() or Preference()
    request.session[LANGUAGE], request.session[ZONE] = kept.language, kept.zone


def _zone(request: HttpRequest) -> str:
    chosen = request.session.get(ZONE, "")
    return request.COOKIES.get(COOKIE, "") if chosen == BROWSER else str(chosen)


def _accepted(request: HttpRequest) -> str:
    """The first language of the browser's list that there is, else the cluster's."""
    known = dict(settings.LANGUAGES)
    for language, _weight in trans_real.parse_accept_lang_header(request.headers.get("Accept-Language", "")):
        if (plain := language.partition("-")[0]) in known:
            return plain
        if language == "*":
            break
    return str(settings.DEFAULT_LANGUAGE)


class ReadingForm(forms.Form):
    """Language and time zone of one user."""

    language = forms.ChoiceField(required=False, label=gettext_lazy("Language"))
    zone = forms.ChoiceField(required=False, label=gettext_lazy("Time zone"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        language, zone = self.fields["language"], self.fields["zone"]
        assert isinstance(language, forms.ChoiceField)
        assert isinstance(zone, forms.ChoiceField)
        language.choices = [("", _("As the browser asks")), *settings.LANGUAGES]
        zone.choices = [
            ("", _("As the cluster: %(zone)s") % {"zone": settings.TIME_ZONE}),
            (BROWSER, _("As this browser")),
            ("UTC", "UTC"),
            (_("All"), [(name, name.replace("_", " ")) for name in sorted(zones())]),
        ]


@role_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """The choice of language and time zone, as a dialog or a page. Two queries to save it."""
    assert isinstance(request.user, User)
    chosen = {LANGUAGE: request.session.get(LANGUAGE, ""), ZONE: request.session.get(ZONE, "")}
    form = ReadingForm(request.POST if request.method == "POST" else None, initial=chosen)
    if request.method == "POST" and form.is_valid():
        given = {LANGUAGE: form.cleaned_data["language"], ZONE: form.cleaned_data["zone"]}
        Preference.objects.update_or_create(user=request.user, defaults=given)
        request.session.update(given)
        reading = of(request)
        with translation.override(reading.language):
            messages.success(request, _("Language and time zone were saved."))
        return redirect(_back(request, reading.zone))
    context = {
        "layout": "actions/dialog.html" if request.htmx else "actions/page.html",  # type: ignore[attr-defined]
        "form": form,
        "back": request.POST.get("next") or _opened_from(request),
    }
    return render(request, "account/reading.html", context, status=422 if form.errors else 200)


def _opened_from(request: HttpRequest) -> str:
    return request.headers.get("HX-Current-URL") or request.headers.get("Referer", "")


def _back(request: HttpRequest, zone: str) -> str:
    """The page from which the choice was opened. Times in its address become those of the new `zone`."""
    asked = request.POST.get("next", "")
    parts = urlsplit(asked)
    safe = url_has_allowed_host_and_scheme(asked, {request.get_host()}, require_https=request.is_secure())
    if not safe or parts.path in (request.path, ""):
        return "/"
    query = QueryDict(parts.query, mutable=True)
    before = query.get("tz", "")
    query.pop("tz", None)
    for name in TIMES if before in zones() else ():
        if text := query.get(name):
            query[name] = _moved(str(text), str(before), zone)
    return f"{parts.path}?{query.urlencode()}" if query else parts.path


def _moved(text: str, before: str, after: str) -> str:
    """A local time of one zone, as the same moment is written in another; as it is where it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    if at.tzinfo is None:
        at = at.replace(tzinfo=ZoneInfo(before)).astimezone(ZoneInfo(after)).replace(tzinfo=None)
    return at.isoformat(timespec="seconds")
