"""Real servers: agents over TLS with passwords, and the whole cluster while Sentinels promote a replica."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from pytest_django import DjangoDbBlocker

from monitoring.broker import address
from tests.broker.servers import Authority, Servers, Watched, servers
from tests.cluster.harness import LiveCluster
from tests.cluster.installation import free_port, wait_until
from tests.node.harness import AgentProcess

pytestmark = pytest.mark.cluster
Start = Callable[..., AgentProcess]


def agent_with(start: Start, url: str, **files: Path) -> AgentProcess:
    """An agent whose settings name these files (ca, cert, key)."""
    agent = start(url)
    agent.process.kill()
    agent.process.wait()
    for name, path in files.items():
        agent.environ[f"CLUSTERWEB_REDIS_{name.upper()}_FILE"] = str(path)
    agent.start()
    return agent


def heard(made: Servers, port: int, **more: Any) -> int:
    """Messages that wait for the cluster service."""
    return int(made.client(port, **more).llen("clusterweb.cluster"))


def test_an_agent_speaks_tls_with_a_password_and_refuses_a_server_of_an_unknown_authority(
    tmp_path: Path, start_agent: Start
) -> None:
    with servers(tmp_path) as made:
        port = free_port()
        made.data(port)
        url = f"rediss://:w%40rd%2F1@127.0.0.1:{port}/0"
        agent = agent_with(start_agent, url, ca=made.authority.file)
        wait_until(lambda: heard(made, port) > 0, 20, "it is heard")
        agent.stop()
        before = heard(made, port)
        agent.environ["CLUSTERWEB_REDIS_CA_FILE"] = str(Authority(tmp_path, "other").file)
        agent.start()
        wait_until(lambda: "certificate verify failed" in agent.log(), 20, "it says why")
        assert heard(made, port) == before
        assert "w@rd" not in agent.log()
        assert "w%40rd" not in agent.log()


def test_an_agent_shows_its_own_certificate_where_the_server_asks_for_it(
    tmp_path: Path, start_agent: Start
) -> None:
    with servers(tmp_path) as made:
        port = free_port()
        made.data(port, clients=True)
        cert, key = made.authority.certify("client")
        url = f"rediss://:w%40rd%2F1@127.0.0.1:{port}/0"
        agent_with(start_agent, url, ca=made.authority.file, cert=cert, key=key)
        own = {"ssl_certfile": str(cert), "ssl_keyfile": str(key)}
        wait_until(lambda: heard(made, port, **own) > 0, 20, "it is heard")


def test_a_password_that_is_wrong_is_said_and_not_shown(tmp_path: Path, start_agent: Start) -> None:
    with servers(tmp_path) as made:
        port = free_port()
        made.data(port)
        url = f"rediss://:mistaken@127.0.0.1:{port}/0"
        agent = agent_with(start_agent, url, ca=made.authority.file)
        wait_until(lambda: "invalid username-password" in agent.log(), 20, "it says why")
        assert "mistaken" not in agent.log()


def test_sentinels_promote_a_replica_and_the_cluster_goes_on_with_nothing_moved(
    tmp_path: Path, django_db_blocker: DjangoDbBlocker
) -> None:
    folder = tmp_path / "redis"
    folder.mkdir()
    with servers(folder) as made:
        watched = Watched(made)
        environ = {
            "CLUSTERWEB_REDIS_URL": watched.url,
            "CLUSTERWEB_REDIS_CA_FILE": str(made.authority.file),
        }
        live = LiveCluster(tmp_path / "home", settings=environ)
        with django_db_blocker.unblock():
            try:
                live.start()
                live.wait_online("EVS1")
                owners = {group.name: group.owner for group in live.groups()}
                began = live.last_event()
                made.kill(watched.master)
                wait_until(lambda: watched.present() == watched.replica, 30, "the replica is the master")
                moved = live.cli("move", "EVS1", "NODE2")
                assert moved["state"] == "done", live.story(began)
                others = {g.name: g.owner for g in live.groups() if g.name != "EVS1"}
                assert others == {name: owner for name, owner in owners.items() if name != "EVS1"}
                assert not live.events(began, code=1135), live.story(began)
                assert live.all_nodes_up()
                # Over the broker, not over HTTP: the new master carries the messages
                told: Any = made.client(watched.replica).info("commandstats")
                assert told["cmdstat_brpop"]["calls"] > 0
                asyncio.run(announcements_arrive(address.parse(environ).layer))
            finally:
                live.stop()
        assert live.left_running() == {}


async def announcements_arrive(host: dict[str, Any]) -> None:
    """The channel layer of the web processes, on the server that was promoted."""
    layer = RedisPubSubChannelLayer(hosts=[host], prefix="clusterweb.test")
    channel = await layer.new_channel()
    await layer.group_add("live", channel)
    await layer.group_send("live", {"type": "live.changed"})
    assert await asyncio.wait_for(layer.receive(channel), 5) == {"type": "live.changed"}
    await layer.flush()
