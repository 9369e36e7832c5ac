"""Every request says from where it comes; what it was refused, and signing in and out, is written down."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.http import HttpRequest, HttpResponseBase
from django.urls import ResolverMatch

from monitoring.access import caller
from monitoring.models import Group, Node, Resource
from monitoring.models.roles import role_of
from monitoring.service import audit

API = "/api/"
SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
NAMED: dict[str, type[Group] | type[Node] | type[Resource]] = {
    "groups": Group,
    "nodes": Node,
    "resources": Resource,
}


class OriginMiddleware:
    """Lets the audit trail know who acts, and from where. Runs after the user is known."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method in SAFE:
            answer: HttpResponseBase = self.get_response(request)
            return answer
        with audit.acting(origin_of(request)) as origin:
            answer = self.get_response(request)
        if origin.who and (answer.status_code == 403 or (answer.status_code >= 400 and origin.refusals)):
            outcome = "forbidden" if answer.status_code == 403 else "refused"
            why = " ".join(origin.refusals) or f"this is not for the role {origin.role or 'none'}."
            audit.attempted(origin, f"{asked_for(request.resolver_match)}: {why}", outcome)
        return answer


def origin_of(request: HttpRequest) -> audit.Origin:
    """Where a request comes from. Programs say who they are only later (`acts_as`)."""
    channel = "api" if request.path.startswith(API) else "dashboard"
    origin = audit.Origin(channel, caller.address(request))
    if isinstance(request.user, User):
        acts_as(origin, request.user, request.user.get_username())
    request.origin = origin  # type: ignore[attr-defined]
    return origin


def acts_as(origin: audit.Origin, user: User, name: str) -> None:
    """It is known who acts: `name` is what the history calls them."""
    origin.who, origin.role = name, str(role_of(user) or "")


def asked_for(match: ResolverMatch | None) -> str:
    """What an address does, in a few words: "move EVS1"."""
    if match is None:
        return "something"
    verb = str(match.kwargs.get("verb") or match.route.rstrip("/").rpartition("/")[2])
    named = [str(value) for key, value in match.kwargs.items() if key not in ("verb", "pk")]
    model = NAMED.get(match.route.partition("/")[0])
    if model is not None and "pk" in match.kwargs:
        row = model.objects.filter(pk=match.kwargs["pk"]).first()
        named.append(str(row.name) if row else f"number {match.kwargs['pk']}")
    return " ".join([verb, *named])


def _signed(request: HttpRequest | None, user: Any, text: str) -> None:
    """Django's sign-in machinery says only by signals that somebody came or went, whatever the way in."""
    if request is None or not isinstance(user, User):
        return
    origin = audit.Origin("dashboard", caller.address(request))
    acts_as(origin, user, user.get_username())
    audit.attempted(origin, f"{user.get_username()} {text}.", "done")


def _came(sender: Any, request: HttpRequest | None, user: Any, **_: Any) -> None:
    _signed(request, user, "signed in")


def _went(sender: Any, request: HttpRequest | None, user: Any, **_: Any) -> None:
    _signed(request, user, "signed out")


def listen() -> None:
    """Write down who signs in and out; called once, when the process starts."""
    user_logged_in.connect(_came, dispatch_uid="trail")
    user_logged_out.connect(_went, dispatch_uid="trail")
