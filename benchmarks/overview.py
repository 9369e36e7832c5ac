"""The overview of a thousand groups of four on sixteen nodes, in Chromium: how soon it can be used.

Only the dashboard runs (the real server), on a database that is filled through the models, as
nothing of this depends on nodes that do something. Beside it the same with twelve groups, which
is the yardstick: what does not depend on the number of groups costs as much there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import Page

from benchmarks.figures import Figure, run, spread
from clusterweb.run import processes
from clusterweb.run.config import Config
from tests.browser.conftest import browser, log_in
from tests.cluster import stores
from tests.cluster.installation import free_port, wait_until

GROUPS, FEW, NODES, SIZE = 1000, 12, 16, 4
PASSWORD = "only for the benchmark"
INTERACTIVE, FIRST_LOAD, REACTION, LIVE = 1.0, 200.0, 0.5, 0.15
"""Budgets: seconds, kilobytes over the wire, seconds, seconds."""
TIMES = 7
CHANGED = "SERVICE 0000"

READY = """() => new Promise(done => {
  const live = () => document.querySelector('#link-state.is-ok');
  const look = () => live() ? done(performance.now() / 1000) : setTimeout(look, 4);
  look();
})"""
"""Seconds from the start of the navigation until the live feed says that all is shown."""
FILTER = """text => new Promise(done => {
  const field = document.querySelector('#overview-text'), began = performance.now();
  const look = () => {
    const shown = [...document.querySelectorAll('.card:not([hidden])')];
    const right = shown.length && shown.every(card => card.dataset.find.includes(text));
    if (right) requestAnimationFrame(() => done((performance.now() - began) / 1000));
    else setTimeout(look, 4);
  };
  field.value = text;
  field.dispatchEvent(new Event('input', {bubbles: true}));
  look();
})"""
WATCH = """name => {
  const card = document.querySelector(`.card[aria-label^="Group ${name},"]`), before = card.ariaLabel;
  window.seen = new Promise(done => new MutationObserver(() => {
    if (document.getElementById(card.id).ariaLabel !== before) done(Date.now() / 1000);
  }).observe(document.getElementById('main'), {subtree: true, childList: true, attributes: true}));
}"""
"""The time at which the card of a group says another state, as a promise."""


@contextmanager
def served() -> Iterator[str]:
    """The dashboard of an empty cluster, with a broker, in a folder of its own; gives its address."""
    folder = Path(tempfile.mkdtemp(prefix="clusterweb-bench-"))
    port = free_port()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        os.environ["CLUSTERWEB_HOME"], os.environ["CLUSTERWEB_PORT"] = str(folder), str(port)
        os.environ["CLUSTERWEB_REDIS_URL"] = stack.enter_context(stores.valkey())
        os.environ["DJANGO_SETTINGS_MODULE"] = "clusterweb.settings"
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # the browser's driver keeps a loop in this thread
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        command = processes.web(Config(folder, "127.0.0.1", port, os.environ["CLUSTERWEB_REDIS_URL"]))
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stack.callback(server.wait, 30)
        stack.callback(server.terminate)
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(url), 30, "the dashboard answers")
        yield url


def _answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(f"{url}/login/", timeout=5).status == 200)
    except OSError:
        return False


def begin() -> None:
    """A cluster of nodes that are up, and somebody who may sign in."""
    from django.contrib.auth.models import User

    from monitoring.core.states import NodeState
    from monitoring.models import Cluster, Node
    from monitoring.models.roles import Role, ensure_roles, grant

    Cluster.objects.create(name="BENCHMARK")
    ensure_roles()
    grant(User.objects.create_user("admin", password=PASSWORD), Role.ADMINISTRATOR)
    for number in range(1, NODES + 1):
        Node.objects.create(name=f"NODE{number:02}", state=NodeState.UP, state_since=time.time() - 9000)


def fill(numbers: range) -> None:
    """Groups that are online, on the nodes by turns; each fiftieth has failed."""
    from monitoring.core.states import GroupState, ResourceState
    from monitoring.models import Dependency, Group, Node, PreferredOwner, Resource, ResourceType

    now, nodes = time.time(), list(Node.objects.order_by("id"))
    types = ("IP Address", "Network Name", "Physical Disk", "Generic Application")
    kinds = [ResourceType.objects.get_or_create(name=name)[0] for name in types]
    bad = {number for number in numbers if number % 50 == 7}
    groups = [
        Group(
            name=f"SERVICE {number:04}",
            owner=nodes[number % NODES],
            persistent_online=True,
            last_state=GroupState.FAILED if number in bad else GroupState.ONLINE,
            state_since=now - 100 * number,
        )
        for number in numbers
    ]
    made = list(zip(numbers, Group.objects.bulk_create(groups), strict=True))
    PreferredOwner.objects.bulk_create(
        PreferredOwner(group=group, node=nodes[(number + place) % NODES], position=place)
        for number, group in made
        for place in range(2)
    )
    resources = Resource.objects.bulk_create(
        Resource(
            group=group,
            type=kind,
            name=f"{group.name} {kind.name}",
            state=ResourceState.FAILED if number in bad and kind is kinds[-1] else ResourceState.ONLINE,
            persistent_online=True,
        )
        for number, group in made
        for kind in kinds
    )
    Dependency.objects.bulk_create(
        Dependency(resource=later, provider=earlier)
        for earlier, later in pairwise(resources)
        if earlier.group_id == later.group_id
    )


def change(number: int) -> float:
    """A group is Offline and Online again, as the cluster service writes it; the time of the commit."""
    from monitoring.core.states import GroupState
    from monitoring.models import Group
    from monitoring.service import clock, journal
    from monitoring.service.lock import cluster_lock

    with cluster_lock() as held:
        group = Group.objects.get(name=CHANGED)
        state = GroupState.PARTIAL_ONLINE if number % 2 else GroupState.ONLINE
        group.last_state, group.state_since = state, clock.now()
        group.save()
        journal.add(held, f"{group} is {state.label}.", group=group, code=1200)
    return time.time()


def visit(page: Page, url: str, path: str = "/") -> float:
    page.goto(f"{url}{path}", wait_until="commit")
    return float(page.evaluate(READY))


def weigh(page: Page, url: str) -> float:
    """Kilobytes of a first visit: nothing is kept from before."""
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    line.send("Network.clearBrowserCache")
    sizes: list[float] = []
    line.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    visit(page, url)
    page.wait_for_timeout(300)
    line.detach()
    return sum(sizes) / 1000


def look(page: Page, url: str, what: str) -> list[Figure]:
    """All that is measured with the groups that there are now."""
    weight = weigh(page, url)
    ready = [visit(page, url) for _ in range(TIMES)]
    found = [
        float(page.evaluate(FILTER, f"service {number:04}")) for number in (3, FEW - 1, 5, 8, FEW - 2, 1, 9)
    ]
    visit(page, url)
    updates = []
    for number in range(1, 2 * TIMES + 1):
        page.evaluate(WATCH, CHANGED)
        committed = change(number)
        updates.append(float(page.evaluate("window.seen")) - committed)
        page.wait_for_timeout(100)
    many = GROUPS if what.startswith(str(GROUPS)) else None
    return [
        *spread(f"overview of {what}: until interactive", ready, INTERACTIVE if many else None, ""),
        Figure(f"overview of {what}: first load", weight, "kB", FIRST_LOAD if many else None),
        *spread(f"overview of {what}: filter to result", found, REACTION if many else None, ""),
        *spread(f"overview of {what}: commit until in the DOM", updates, LIVE if many else None, ""),
    ]


def measure() -> list[Figure]:
    with served() as url, browser() as chromium:
        begin()
        fill(range(FEW))
        page = chromium.new_page(viewport={"width": 1360, "height": 900})
        log_in(page, url, "admin", PASSWORD)
        few = look(page, url, f"{FEW} groups")
        fill(range(FEW, GROUPS))
        many = look(page, url, f"{GROUPS} groups")
    yardstick = {figure.what.partition(": ")[2]: figure for figure in few}
    return [
        replace(figure, yardstick=f"{FEW} groups: {yardstick[figure.what.partition(': ')[2]].value:.3g}")
        for figure in many
    ]


if __name__ == "__main__":
    run(measure)
