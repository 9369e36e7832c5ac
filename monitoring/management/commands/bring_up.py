"""`manage.py bring_up`: what the supervisor needs of the database at a start, in one process.

Migrates, makes the demo cluster where there is none, then tells how the groups come up.
Speaks JSON, one object a line:

    {"login": {"name": "admin", "role": "administrator", "password": "..."}}      once a user
    {"ready": "demo cluster created"}                    the processes may start
    {"group": "EVS1", "state": "Online on NODE1"}        until all have settled
"""

from __future__ import annotations

import io
import json
import time
from typing import Any

from django.core.management import BaseCommand, CommandParser, call_command

from monitoring.core.states import GroupState
from monitoring.models import Group, Node

WATCH_FOR = 120.0
"""Seconds until the supervisor stops waiting for groups that do not settle."""
LOOK_EVERY = 0.2
SETTLED = (GroupState.ONLINE, GroupState.PARTIAL_ONLINE, GroupState.FAILED)


class Command(BaseCommand):
    help = "Prepare the database for a start and tell how the groups come up (used by make run)."
    requires_system_checks: list[str] = []  # they load every page; the web process runs them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-watch", action="store_true", help="return once the processes may start")

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0, stdout=io.StringIO())
        answer = io.StringIO()
        call_command("setup_demo", "--json", stdout=answer)
        demo = json.loads(answer.getvalue())
        for user in demo["users"] + demo["mailboxes"]:
            self._say(login=user)
        before = dict(Node.objects.values_list("pk", "incarnation"))
        self._say(ready="demo cluster created" if demo["created"] else "ready")
        if not options["no_watch"]:
            self._watch(before)

    def _watch(self, before: dict[int, int]) -> None:
        """Tell each group's state as it changes, until its owner has started and it has settled."""
        told: dict[str, str] = {}
        deadline = time.monotonic() + WATCH_FOR
        while time.monotonic() < deadline:
            waiting = False
            for group in Group.objects.select_related("owner"):
                fresh = group.owner is not None and group.owner.incarnation != before.get(group.owner_id or 0)
                settled = not group.persistent_online or (
                    fresh and not group.transit_kind and group.last_state in SETTLED
                )
                waiting = waiting or not settled
                state = GroupState(group.last_state).label
                line = f"{state} on {group.owner.name}" if group.owner and settled else state
                if (settled or fresh) and told.get(group.name) != line:
                    told[group.name] = line
                    self._say(group=group.name, state=line)
            if not waiting:
                return
            time.sleep(LOOK_EVERY)

    def _say(self, **news: Any) -> None:
        self.stdout.write(json.dumps(news))
        self.stdout.flush()
