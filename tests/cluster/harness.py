"""A running cluster for tests: looked at through its own database, acted upon as operators do.

It is looked at through the models, read only, and acted upon through the command line, the
browser, signals and mail.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

import dj_database_url
from django.db import connections

from clusterweb.run.config import BASE_DIR
from monitoring.core.states import GroupState, NodeState, ResourceState
from monitoring.models import Event, FailoverRecord, Group, Node, Resource
from tests.cluster.installation import Installation, wait_until


class LiveCluster(Installation):
    """The cluster of an installation: its groups, its history, what runs for them."""

    @property
    def _alias(self) -> str:
        """Alias of this cluster's own database."""
        return f"live-{self.port}"

    def start(self) -> float:
        seconds = super().start()
        self._open_database()
        return seconds

    def _open_database(self) -> None:
        # The browser's driver keeps an event loop in the test's thread, where Django would
        # else refuse to read; nothing is shared with it.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
        url = self.settings.get("DATABASE_URL", f"sqlite:///{self.home / 'clusterweb.sqlite3'}")
        connections.databases[self._alias] = {
            **connections.databases["default"],
            **dj_database_url.parse(url),
            "OPTIONS": {},
        }

    # Look

    def group(self, name: str) -> Group:
        return Group.objects.using(self._alias).select_related("owner").get(name=name)

    def groups(self) -> list[Group]:
        return list(Group.objects.using(self._alias).select_related("owner"))

    def owner(self, group: str) -> str:
        owner = self.group(group).owner
        return owner.name if owner else ""

    def is_online(self, group: str, on: str = "") -> bool:
        """The group is Online, at rest, and on node `on` where that is given."""
        row = self.group(group)
        here = row.owner is not None and (not on or row.owner.name == on)
        return here and row.last_state == GroupState.ONLINE and not row.transit_kind

    def resource(self, group: str, type_name: str) -> Resource:
        found = Resource.objects.using(self._alias).select_related("type", "group")
        return found.get(group__name=group, type__name=type_name)

    def resource_is_online(self, group: str, type_name: str) -> bool:
        return self.resource(group, type_name).state == ResourceState.ONLINE

    def last_event(self) -> int:
        newest = Event.objects.using(self._alias).order_by("-seq").first()
        return newest.seq if newest else 0

    def events(self, after: int = 0, **filters: Any) -> list[Event]:
        """Events in order, newest last."""
        return list(Event.objects.using(self._alias).filter(seq__gt=after, **filters).order_by("seq"))

    def story(self, after: int = 0) -> str:
        """The history as text, for the message of a failed assertion."""
        return "\n".join(
            f"{e.seq} {e.code} {e.group_name} {e.node_name}: {e.text}" for e in self.events(after)
        )

    def records(self, group: str, after: int = 0) -> list[FailoverRecord]:
        """Failover records of a group, newest last; `after` is the id of an earlier one."""
        found = FailoverRecord.objects.using(self._alias).filter(group__name=group, pk__gt=after)
        return list(found.order_by("pk"))

    def last_record(self, group: str) -> int:
        records = self.records(group)
        return records[-1].pk if records else 0

    # Act

    def command_line(self, *words: str) -> list[str]:
        return [self.python, "manage.py", "cluster", *words, "--json"]

    def cli(self, *words: str, check: bool = True) -> Any:
        """`manage.py cluster WORDS --json`, as the operator of the machine; returns what it printed."""
        done = subprocess.run(
            self.command_line(*words),
            cwd=BASE_DIR,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if check and done.returncode:
            raise AssertionError(f"cluster {' '.join(words)}: {done.returncode}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def wait_online(self, group: str, on: str = "", timeout: float = 30.0) -> None:
        where = f" on {on}" if on else ""
        began = self.last_event()
        try:
            wait_until(lambda: self.is_online(group, on), timeout, f"{group} Online{where}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story(began - 30)}") from None

    def calm_down(self) -> None:
        """Bring every group home: all nodes Up, each group Online on the first of its preferred owners."""
        for node in Node.objects.using(self._alias).exclude(quarantined_until=None):
            self.cli("clear-quarantine", node.name)
        wait_until(self.all_nodes_up, 30, "all nodes Up")
        for group in self.groups():
            home = group.preferences.using(self._alias).select_related("node").first()
            if home is None:
                continue
            if not self.is_online(group.name, home.node.name):
                if group.owner != home.node:
                    self.cli("move", group.name, home.node.name, check=False)
                self.cli("online", group.name)
            self.wait_online(group.name, home.node.name)

    def all_nodes_up(self) -> bool:
        return all(node.state == NodeState.UP for node in Node.objects.using(self._alias).all())

    # What runs

    def resource_processes(self, group: str, type_name: str) -> list[int]:
        resource = self.resource(group, type_name)
        node = self.owner(group)
        return [pid for pid, owner in self.node_processes(node).items() if owner == resource.pk]

    def group_processes(self, group: str, node: str) -> list[int]:
        """Process ids of a group's resources on a node."""
        ids = set(Resource.objects.using(self._alias).filter(group__name=group).values_list("pk", flat=True))
        return [pid for pid, resource in self.node_processes(node).items() if resource in ids]
