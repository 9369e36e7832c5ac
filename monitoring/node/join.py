"""`python -m monitoring.node join URL TOKEN`: fetch this node's key and settings once, then be its agent.

The files are `node.env` and `node.key` in the folder given by --home, readable for this user alone;
the next start needs neither URL nor token: it reads `node.env` as systemd does.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_HOME = "/etc/clusterweb"
LOCAL = ("127.", "localhost", "::1")


class JoinError(Exception):
    """The node could not join; the text says why."""


def join(words: Sequence[str]) -> int:
    """Join, write the files, and start the agent in this process."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.node join")
    parser.add_argument("url")
    parser.add_argument("token")
    parser.add_argument("--home", default=DEFAULT_HOME, help=f"folder of its files (default {DEFAULT_HOME})")
    parser.add_argument("--no-start", action="store_true", help="write the files only")
    asked = parser.parse_args(words)
    try:
        values = write(Path(asked.home), asked.url.rstrip("/"), fetch(asked.url.rstrip("/"), asked.token))
    except (JoinError, OSError) as error:
        sys.stderr.write(f"clusterweb node: {error}\n")
        return 2
    sys.stderr.write(f"clusterweb node: joined as {values['CLUSTERWEB_NODE']}; settings in {asked.home}\n")
    if not asked.no_start:
        os.execve(sys.executable, [sys.executable, "-m", "monitoring.node"], {**os.environ, **values})  # noqa: S606
    return 0


def fetch(url: str, token: str) -> dict[str, str]:
    """What the cluster tells the bearer of the token."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and (parts.hostname or "").startswith(LOCAL)):
        raise JoinError("the address must begin with https://: the answer carries this node's key")
    request = urllib.request.Request(  # noqa: S310  (the scheme is checked above)
        f"{url}/node/join", json.dumps({"token": token}).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            found = json.loads(answer.read(65_536))
    except urllib.error.HTTPError as error:
        told = json.loads(error.read(65_536) or b"{}")
        raise JoinError(str(told.get("detail", error))) from None
    except (urllib.error.URLError, ValueError) as error:
        raise JoinError(f"{url} does not answer as it should: {error}") from None
    return {name: str(found[name]) for name in ("node", "key", "broker")}


def write(home: Path, url: str, found: dict[str, str]) -> dict[str, str]:
    """Write the files; the agent's settings."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    values = {
        "CLUSTERWEB_NODE": found["node"],
        "CLUSTERWEB_NODE_KEY_FILE": str(home.absolute() / "node.key"),
        "CLUSTERWEB_NODE_HOME": str(home.absolute() / "state"),
        "CLUSTERWEB_REDIS_URL": found["broker"],
        "CLUSTERWEB_SERVICE_URL": url,
    }
    _private(home / "node.key", found["key"])
    _private(home / "node.env", "".join(f"{name}={value}\n" for name, value in values.items()))
    return values


def _private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
