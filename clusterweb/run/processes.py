"""Which processes make up a cluster on one machine, with their commands and environments.

The same commands stand in docker-compose.yml and in deploy/.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from clusterweb.run import leftovers
from clusterweb.run.config import Config
from clusterweb.run.home import Home

SERVICE = "service"
WEB = "web"
BROKER = "broker"

_NOT_FOR_NODES = ("DATABASE_URL", "CLUSTERWEB_SECRET_KEY")
"""A node has no way to the database, and no secret but its own key."""


def environment(config: Config, redis_url: str) -> dict[str, str]:
    """What all processes of the cluster find in their environment."""
    return {
        **os.environ,
        "CLUSTERWEB_HOME": str(config.home),
        "CLUSTERWEB_BIND": config.bind,
        "CLUSTERWEB_PORT": str(config.port),
        "CLUSTERWEB_TRAINING": "1",  # a demo is there to be broken
        "CLUSTERWEB_REDIS_URL": redis_url,
        leftovers.MARK: str(config.home),
        "PYTHONUNBUFFERED": "1",
        "MALLOC_ARENA_MAX": "2",  # glibc's arenas cost memory and bring nothing to a few threads
    }


def bring_up() -> list[str]:
    """Migrate, make the demo cluster the first time, then tell how the groups come up."""
    return [sys.executable, "manage.py", "bring_up"]


def web(config: Config) -> list[str]:
    return [
        *(sys.executable, "-m", "clusterweb.web_server"),
        *("--bind", config.bind, "--port", str(config.port)),
    ]


def service() -> list[str]:
    return [
        *(sys.executable, "-m", "celery", "--app", "clusterweb", "worker", "--pool", "solo"),
        *("--queues", "cluster", "--without-gossip", "--without-mingle", "--without-heartbeat"),
        *("--loglevel", "WARNING", "--hostname", "service@%h"),
    ]


def agent() -> list[str]:
    return [sys.executable, "-m", "monitoring.node"]


def agent_environment(common: Mapping[str, str], node: str, home: Home, config: Config) -> dict[str, str]:
    """The environment of a node's agent: its name, its key, and the two ways to the cluster service."""
    return {
        **{name: value for name, value in common.items() if name not in _NOT_FOR_NODES},
        "CLUSTERWEB_NODE": node,
        "CLUSTERWEB_NODE_HOME": str(home.nodes / node),
        "CLUSTERWEB_NODE_KEY_FILE": str(home.nodes / node / "key"),
        "CLUSTERWEB_SERVICE_URL": config.url,
        "CLUSTERWEB_NAMES": str(home.names),
    }
