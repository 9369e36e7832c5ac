"""`python -m tests.screenshots`, or `make screenshots`: pictures of every page into docs/img.

Starts the demo with a home of its own, lets things happen as they do to an operator (a service
that keeps dying, a move, a drain, something left broken), and takes each page that the
dashboard has in light, dark and at a phone's width. A new page needs no line here.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import django
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "clusterweb.settings")
django.setup()

from tests.browser.conftest import ARGUMENTS, log_in
from tests.cluster.harness import LiveCluster
from tests.cluster.installation import wait_until
from tests.screenshots.pages import Place, places

INTO = Path(__file__).parents[2] / "docs" / "img"
WIDE, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)
LOOKS: dict[str, tuple[str, ViewportSize]] = {
    "light": ("light", WIDE),
    "dark": ("dark", WIDE),
    "phone": ("light", PHONE),
}
TALLEST = 1600
"""Pixels of a page that are shown; the rest is more of the same."""
SMTP, POP3 = "Exchange SMTP Virtual Server", "Exchange POP3 Virtual Server"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("only", nargs="*", help="names of pages, such as overview group; all without")
    parser.add_argument("--into", type=Path, default=INTO)
    asked = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("There is no Chromium on this machine: make packages", file=sys.stderr)
        return 2
    home = Path(tempfile.mkdtemp(prefix="clusterweb-screenshots-"))
    cluster = LiveCluster(home)
    cluster.start()
    try:
        let_things_happen(cluster)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            count = take(browser, cluster, asked.into, set(asked.only))
            browser.close()
    finally:
        cluster.stop()
        shutil.rmtree(home, ignore_errors=True)
    print(f"{count} pictures in {asked.into}")
    return 0


def let_things_happen(cluster: LiveCluster) -> None:
    """A past worth looking at: a failover with its cause, a move, a drain; and EVS2's POP3 left failed."""
    threshold = cluster.resource("EVS1", SMTP).restart_threshold
    for _ in range(threshold + 1):
        wait_until(lambda: cluster.resource_is_online("EVS1", SMTP), 20, "SMTP is online")
        if cluster.owner("EVS1") == "NODE2":
            break
        before = cluster.resource("EVS1", SMTP).sequence
        (pid,) = cluster.resource_processes("EVS1", SMTP)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: cluster.resource("EVS1", SMTP).sequence > before, 10, "its death is noticed")  # noqa: B023
    cluster.wait_online("EVS1", "NODE2")
    cluster.cli("move", "EVS1", "NODE1", "--reason", "the failover is understood")
    cluster.wait_online("EVS1", "NODE1")
    cluster.cli("pause", "NODE2", "--drain", "--reason", "new memory")
    cluster.wait_online("EVS2", "NODE1")
    cluster.cli("resume", "NODE2", "--failback", "immediate", "--reason", "the memory is in")
    cluster.wait_online("EVS2", "NODE2")


def take(browser: Browser, cluster: LiveCluster, into: Path, only: set[str]) -> int:
    """Take each page in each look; returns how many pictures were made."""
    into.mkdir(parents=True, exist_ok=True)
    shown = [place for place in places(cluster) if not only or place.name in only]
    count = 0
    for look, (theme, size) in LOOKS.items():
        context = browser.new_context(viewport=size, color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        page = context.new_page()
        for place in (place for place in shown if not place.signed_in):
            count += picture(page, cluster, place, into / f"{place.name}-{look}.png")
        log_in(page, cluster.url, "admin", cluster.passwords["admin"])
        for place in (place for place in shown if place.signed_in):
            count += picture(page, cluster, place, into / f"{place.name}-{look}.png")
        context.close()
    return count


def picture(page: Page, cluster: LiveCluster, place: Place, file: Path) -> int:
    """Take one page, in 256 colours to keep the repository small. 0 where there is no page."""
    answer = page.goto(f"{cluster.url}{place.path}")
    if answer is None or answer.status != 200:
        print(f"{place.name}: {place.path} answers {answer and answer.status}", file=sys.stderr)
        return 0
    page.wait_for_timeout(400)
    tall = min(TALLEST, int(page.evaluate("document.documentElement.scrollHeight")))
    size = page.viewport_size
    assert size is not None
    page.screenshot(
        path=file, full_page=True, clip={"x": 0, "y": 0, "width": size["width"], "height": max(tall, 400)}
    )
    with Image.open(file) as image:
        image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
