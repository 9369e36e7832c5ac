"""Who may call what: one row for every address of the project. A new address needs a new row.

The key is the pattern as the resolver has it. A row names the methods that the address takes,
the least role that may use each, and the exact status of the answer to somebody who may, with
a body that asks for nothing and an id that exists. All that follows from it is not written down: any other
method is refused (405), HEAD goes with GET, a higher role may what a lower one may, who lacks the
role is refused (403), who is not signed in is sent to the login (pages) or told so (API: 401),
and an unsafe method without a CSRF token is refused (403) whoever sends it with a session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from monitoring.models.roles import Role


class Caller(StrEnum):
    """Who calls, from the least to the most."""

    ANONYMOUS = "anonymous"
    STRANGER = "stranger"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"


ANYBODY, SIGNED_IN = Caller.ANONYMOUS, Caller.STRANGER
VIEWER, OPERATOR, ADMINISTRATOR = (Caller(role.value) for role in Role)
CALLERS = list(Caller)


def reaches(caller: Caller, least: Caller) -> bool:
    return CALLERS.index(caller) >= CALLERS.index(least)


@dataclass(frozen=True, slots=True)
class Row:
    """`methods`: for each the least caller and the status of the answer to them.

    `query`: what the address needs to be asked in earnest. `api`: it answers programs.
    `csrf`: False where a request proves who sent it by other means than a cookie.
    `status`: where the answer depends on the caller.
    """

    methods: Mapping[str, tuple[Caller, int]]
    query: str = ""
    api: bool = False
    csrf: bool = True
    status: Mapping[tuple[str, Caller], int] = field(default_factory=dict)


def page(least: Caller = VIEWER, query: str = "") -> Row:
    """Something to read."""
    return Row({"GET": (least, 200)}, query)


def form(least: Caller, post: int, query: str = "") -> Row:
    """Something to read and to send; `post` answers an empty form."""
    return Row({"GET": (least, 200), "POST": (least, post)}, query)


def edit(least: Caller, post: int = 302) -> Row:
    """Something to send only."""
    return Row({"POST": (least, post)})


def read(status: int = 200) -> Row:
    """Something that a program reads."""
    return Row({"GET": (VIEWER, status)}, api=True)


def act(least: Caller = OPERATOR, status: int = 202) -> Row:
    """Something that a program has done; 409 where the seeded cluster refuses it."""
    return Row({"POST": (least, status)}, api=True)


HTTP: dict[str, Row] = {
    # The dashboard: reading
    "": page(),
    "find/": page(),
    "groups/": page(),
    "groups/<int:pk>/": page(),
    "nodes/": page(),
    "nodes/<int:pk>/": page(),
    "resources/<int:pk>/": page(),
    "resources/<int:pk>/probes/": page(),
    "resources/<int:pk>/output/": edit(OPERATOR),
    "fencing/": page(),
    "what-if/": page(),
    "balance/": Row({"GET": (VIEWER, 200), "POST": (OPERATOR, 409)}),
    "schedule/": page(),
    "schedule/<int:pk>/": page(),
    "schedule/new/": form(OPERATOR, 422),
    "schedule/preview/": page(OPERATOR),
    "schedule/<int:pk>/edit/": form(OPERATOR, 422),
    "schedule/<int:pk>/run/": form(OPERATOR, 302),
    "schedule/<int:pk>/end/": form(OPERATOR, 409),
    "schedule/<int:pk>/skip/": form(OPERATOR, 302),
    "schedule/<int:pk>/pause/": form(OPERATOR, 302),
    "schedule/<int:pk>/go-on/": form(OPERATOR, 409),
    "schedule/<int:pk>/delete/": form(OPERATOR, 302),
    "schedule/runs/<int:pk>/note/": edit(OPERATOR),
    "history/": page(),
    "history/events/": page(),
    "history/failovers.csv": page(),
    "history/events.csv": page(),
    "history/failovers.json": page(),
    "history/events.json": page(),
    "history/timeline/": page(),
    "history/moment/": page(),
    "history/availability/": page(),
    "history/availability.csv": page(),
    "history/availability.json": page(),
    "history/audit/": page(ADMINISTRATOR),
    "history/audit.csv": page(ADMINISTRATOR),
    "history/audit.json": page(ADMINISTRATOR),
    "history/outages/<int:number>/mark/": form(OPERATOR, 422),
    "history/<int:pk>/": page(),
    "history/<int:pk>/notes/new/": form(OPERATOR, 422),
    "history/notes/<int:pk>/": form(OPERATOR, 422),
    # An administrator is not its author
    "history/notes/<int:pk>/delete/": Row({"POST": (OPERATOR, 302)}, status={("POST", ADMINISTRATOR): 422}),
    # The dashboard: actions. 422: the number of the newest event that was shown is missing
    "groups/<int:pk>/move/": form(OPERATOR, 422),
    "groups/<int:pk>/offline/": form(OPERATOR, 422),
    "groups/<int:pk>/online/": form(OPERATOR, 422),
    "groups/<int:pk>/restart/": form(OPERATOR, 422),
    "groups/<int:pk>/maintenance/": form(OPERATOR, 422),
    "groups/<int:pk>/end-maintenance/": form(OPERATOR, 422),
    "cluster/maintenance/": form(OPERATOR, 422),
    "cluster/end-maintenance/": form(OPERATOR, 422),
    "nodes/<int:pk>/clear-quarantine/": form(OPERATOR, 422),
    "nodes/<int:pk>/pause/": form(OPERATOR, 422),
    "nodes/<int:pk>/drain/": form(OPERATOR, 422),
    "nodes/<int:pk>/resume/": form(OPERATOR, 422),
    "nodes/<int:pk>/evict/": form(ADMINISTRATOR, 422),
    "nodes/<int:pk>/rotate-key/": form(ADMINISTRATOR, 422),
    "nodes/<int:pk>/fence/": form(OPERATOR, 422),
    "nodes/<int:pk>/confirm-off/": form(OPERATOR, 422),
    "fencing/devices/<int:pk>/test/": form(OPERATOR, 302),
    "resources/<int:pk>/online/": form(OPERATOR, 422),
    "resources/<int:pk>/offline/": form(OPERATOR, 422),
    "resources/<int:pk>/restart/": form(OPERATOR, 422),
    "resources/<int:pk>/fail/": form(OPERATOR, 422),
    # The dashboard: editing
    "nodes/new/": form(ADMINISTRATOR, 422),
    "nodes/<int:pk>/joining/": form(ADMINISTRATOR, 302),
    "groups/new/": page(ADMINISTRATOR),
    "groups/new/empty/": form(ADMINISTRATOR, 422),
    "groups/new/exchange-virtual-server/": form(ADMINISTRATOR, 422),
    "groups/new/<slug:key>/": form(ADMINISTRATOR, 200),
    "groups/<int:pk>/settings/": form(ADMINISTRATOR, 422),
    "groups/<int:pk>/settings/owners/": edit(ADMINISTRATOR),
    "groups/<int:pk>/settings/delete/": edit(ADMINISTRATOR),
    "groups/<int:pk>/resources/new/": form(ADMINISTRATOR, 422, query="type=Generic%20Script"),
    "fencing/devices/new/": form(ADMINISTRATOR, 422, query="method=Watchdog"),
    "fencing/devices/<int:pk>/": form(ADMINISTRATOR, 422),
    "fencing/devices/<int:pk>/delete/": edit(ADMINISTRATOR),
    "nodes/<int:pk>/fencing/": page(ADMINISTRATOR),
    "nodes/<int:pk>/fencing/add/": form(ADMINISTRATOR, 422, query="device=1"),
    "fencing/steps/<int:pk>/": form(ADMINISTRATOR, 422),
    "fencing/steps/<int:pk>/remove/": edit(ADMINISTRATOR),
    "training/": Row({"GET": (ADMINISTRATOR, 404), "POST": (ADMINISTRATOR, 404)}),
    "access/": form(ADMINISTRATOR, 422),
    "access/tokens/<int:pk>/revoke/": edit(ADMINISTRATOR),
    "access/forget/": edit(ADMINISTRATOR),
    "cluster/settings/": form(ADMINISTRATOR, 422),
    "nodes/<int:pk>/settings/": form(ADMINISTRATOR, 422),
    "resources/<int:pk>/settings/": form(ADMINISTRATOR, 422),
    "resources/<int:pk>/settings/owners/": edit(ADMINISTRATOR),
    "resources/<int:pk>/settings/dependencies/": edit(ADMINISTRATOR),
    "resources/<int:pk>/settings/delete/": edit(ADMINISTRATOR),
    # Signing in and out. Who is signed in is sent on from the login; 200: the form with its errors
    "login/": Row(
        {"GET": (ANYBODY, 302), "POST": (ANYBODY, 302)},
        status={("GET", ANYBODY): 200, ("POST", ANYBODY): 200},
    ),
    "logout/": edit(SIGNED_IN),
    "account/": page(SIGNED_IN),
    "account/sessions/end/": edit(SIGNED_IN),
    "account/reading/": form(SIGNED_IN, 302),
    "password/": form(SIGNED_IN, 200),
    "password/done/": page(SIGNED_IN),
    # The REST API
    "api/v1/cluster": read(),
    "api/v1/cluster/maintenance": act(),
    "api/v1/cluster/end-maintenance": act(status=409),
    "api/v1/nodes": read(),
    "api/v1/nodes/<str:node>": read(),
    "api/v1/nodes/<str:node>/pause": act(),
    "api/v1/nodes/<str:node>/drain": act(),
    "api/v1/nodes/<str:node>/clear-quarantine": act(status=409),
    "api/v1/nodes/<str:node>/resume": act(status=409),
    "api/v1/nodes/<str:node>/evict": act(ADMINISTRATOR, 409),
    "api/v1/nodes/<str:node>/rotate-key": act(ADMINISTRATOR, 202),
    "api/v1/nodes/<str:node>/fence": act(),
    "api/v1/nodes/<str:node>/confirm-off": act(status=409),
    "api/v1/nodes/<str:node>/fencing": read(),
    "api/v1/nodes/<str:node>/fencing/add": act(ADMINISTRATOR, 400),
    "api/v1/nodes/<str:node>/fencing/change": act(ADMINISTRATOR, 400),
    "api/v1/nodes/<str:node>/fencing/remove": act(ADMINISTRATOR, 400),
    "api/v1/fencing/agents": read(),
    "api/v1/fencing/agents/<str:agent>": read(),
    "api/v1/fencing/devices": read(),
    "api/v1/fencing/devices/add": act(ADMINISTRATOR, 400),
    "api/v1/fencing/devices/<str:device>": read(),
    "api/v1/fencing/devices/<str:device>/change": act(ADMINISTRATOR, 200),
    "api/v1/fencing/devices/<str:device>/delete": act(ADMINISTRATOR, 400),
    "api/v1/fencing/devices/<str:device>/test": act(),
    "api/v1/groups": read(),
    "api/v1/groups/add": act(ADMINISTRATOR, 400),
    "api/v1/groups/<str:group>": read(),
    "api/v1/groups/<str:group>/change": act(ADMINISTRATOR, 200),
    "api/v1/groups/<str:group>/delete": act(ADMINISTRATOR, 400),
    "api/v1/groups/<str:group>/move": act(),
    "api/v1/groups/<str:group>/online": act(),
    "api/v1/groups/<str:group>/offline": act(),
    "api/v1/groups/<str:group>/restart": act(),
    "api/v1/groups/<str:group>/maintenance": act(),
    "api/v1/groups/<str:group>/end-maintenance": act(status=409),
    "api/v1/types": read(),
    "api/v1/types/<str:type>": read(),
    "api/v1/resources": read(),
    "api/v1/resources/add": act(ADMINISTRATOR, 400),
    "api/v1/resources/<str:resource>": read(),
    "api/v1/resources/<str:resource>/change": act(ADMINISTRATOR, 200),
    "api/v1/resources/<str:resource>/delete": act(ADMINISTRATOR, 400),
    "api/v1/resources/<str:resource>/output": Row({"GET": (OPERATOR, 200)}, query="wait=0", api=True),
    "api/v1/resources/<str:resource>/online": act(),
    "api/v1/resources/<str:resource>/offline": act(),
    "api/v1/resources/<str:resource>/restart": act(),
    "api/v1/resources/<str:resource>/fail": act(),
    "api/v1/what-if": read(),
    "api/v1/balance": read(),
    "api/v1/balance/apply": act(),
    "api/v1/schedule.ics": read(),
    "api/v1/schedules": read(),
    "api/v1/schedules/add": act(status=400),
    "api/v1/schedules/check": act(status=400),
    "api/v1/schedules/runs": read(),
    "api/v1/schedules/runs/<int:run>/note": act(status=200),
    "api/v1/schedules/<int:id>": read(),
    "api/v1/schedules/<int:id>/change": act(status=200),
    "api/v1/schedules/<int:id>/run": act(status=200),
    "api/v1/schedules/<int:id>/end": act(status=409),
    "api/v1/schedules/<int:id>/skip": act(status=200),
    "api/v1/schedules/<int:id>/pause": act(status=200),
    "api/v1/schedules/<int:id>/go-on": act(status=409),
    "api/v1/schedules/<int:id>/delete": act(status=200),
    "api/v1/operations/<int:id>": read(),
    "api/v1/events": read(),
    "api/v1/availability": read(),
    "api/v1/audit": Row({"GET": (ADMINISTRATOR, 200)}, api=True),
    "api/v1/timeline": read(),
    "api/v1/moment": read(400),
    "api/v1/outages/<int:number>/mark": act(status=400),
    "api/v1/records": read(),
    "api/v1/records/<int:id>": read(),
    "api/v1/records/<int:id>/notes": read(),
    "api/v1/records/<int:id>/notes/add": act(status=400),
    "api/v1/records/<int:id>/notes/<int:note>/change": Row(
        {"POST": (OPERATOR, 400)}, api=True, status={("POST", ADMINISTRATOR): 403}
    ),
    "api/v1/records/<int:id>/notes/<int:note>/delete": Row(
        {"POST": (OPERATOR, 200)}, api=True, status={("POST", ADMINISTRATOR): 403}
    ),
    # Nothing is there, for whom may look; an empty method is any
    "api/v1/^(?P<path>.*)$": Row({"": (VIEWER, 404)}, api=True),
    # Nodes prove who they are by their signature; 400: an empty body is no exchange
    "node/join": Row({"POST": (ANYBODY, 400)}, csrf=False),
    "node/messages": Row({"POST": (ANYBODY, 400)}, csrf=False),
}

WEBSOCKETS: dict[str, Caller] = {"live/": VIEWER}
"""The least caller of each WebSocket; nobody comes in from a foreign page."""

OUTSIDE: dict[str, dict[str, int]] = {
    "/static/css/app.css": {"GET": 200, "HEAD": 200},
    "/static/../clusterweb/settings.py": {"GET": 404},
    "/static/%2e%2e/clusterweb/settings.py": {"GET": 404},
    "/admin/": {"GET": 404, "POST": 404},
    "/.clusterweb/secret-key": {"GET": 404},
}
"""What no view answers: the same for everybody, and it tells nothing."""
