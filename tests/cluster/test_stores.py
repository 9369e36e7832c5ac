"""The same cluster on PostgreSQL and on a broker of the operator's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import DjangoDbBlocker

from tests.cluster import stores
from tests.cluster.harness import LiveCluster

pytestmark = pytest.mark.cluster


def test_the_cluster_runs_on_postgresql_and_a_valkey_of_the_operators(
    tmp_path: Path, django_db_blocker: DjangoDbBlocker
):
    with stores.postgresql() as database, stores.valkey() as broker:
        settings = {"DATABASE_URL": database, "CLUSTERWEB_REDIS_URL": broker}
        live = LiveCluster(tmp_path / "home", settings=settings)
        with django_db_blocker.unblock():
            try:
                live.start()
                assert not (live.home / "clusterweb.sqlite3").exists()
                live.cli("move", "EVS1", "NODE2")
                assert live.is_online("EVS1", "NODE2"), live.story()
                with live.kept_down("NODE2"):
                    live.wait_online("EVS1", "NODE1")
                    live.wait_online("EVS2", "NODE1")
            finally:
                live.stop()
        assert live.left_running() == {}
