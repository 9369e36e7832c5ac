"""Rules for all tests: where everything is required, a skipped test is a failed one."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from pytest_django import DjangoDbBlocker

if TYPE_CHECKING:
    from tests.cluster.harness import LiveCluster

# A busy machine is no failure; what CI has set beside these (no chance) stays
settings.register_profile("busy", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

REQUIRE_ALL = os.environ.get("CLUSTERWEB_TEST_REQUIRE_ALL") == "1"


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRE_ALL and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where every test is required: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.fixture(autouse=True)
def no_observer() -> Generator[None, None, None]:
    """Whoever made the process of the tests an observer of the nodes leaves none to the next test."""
    yield
    membership = sys.modules.get("monitoring.service.membership")
    if membership is not None:
        vars(membership)["_observer"] = None


@pytest.fixture(scope="session")
def running(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Generator[LiveCluster, None, None]:
    """The demo cluster in real processes, one for the whole session; nothing of it is left behind.

    It has a Python environment of its own, into which a test may install.
    """
    from tests.cluster import environment
    from tests.cluster.harness import LiveCluster

    folder = tmp_path_factory.mktemp("cluster")
    agents = f"{folder / 'agents'}:/usr/sbin"  # a test may put fence agents of its own there
    live = LiveCluster(folder / "home", {"CLUSTERWEB_FENCE_AGENTS": agents})
    live.python = environment.make(folder / "environment")
    with django_db_blocker.unblock():
        live.start()
        yield live
        assert live.stop() == 0
        assert live.left_running() == {}


@pytest.fixture
def cluster(running: LiveCluster) -> LiveCluster:
    """The running cluster at rest: all nodes Up, each group Online on its preferred owner."""
    running.calm_down()
    return running
