"""Fence agents that the tests write: programs with the standard interface."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

METADATA = """<?xml version="1.0" ?>
<resource-agent name="fence_test" shortdesc="A fence agent for tests">
<longdesc>It does what it is told.</longdesc>
<parameters>
  <parameter name="action" unique="0" required="1"><content type="string" default="reboot"/></parameter>
  <parameter name="ip" unique="0" required="1" obsoletes="ipaddr"><content type="string"/>
    <shortdesc lang="en">Address of the device</shortdesc></parameter>
  <parameter name="ipaddr" unique="0" required="1" deprecated="1"><content type="string"/></parameter>
  <parameter name="password" unique="0" required="0"><content type="string"/></parameter>
  <parameter name="password_script" unique="0" required="0"><content type="string"/></parameter>
  <parameter name="plug" unique="0" required="1"><content type="string"/></parameter>
  <parameter name="mode" unique="0" required="0"><content type="select" default="soft">
    <option value="soft"/><option value="hard"/></content></parameter>
  <parameter name="ssl" unique="0" required="0"><content type="boolean" default="1"/></parameter>
  <parameter name="wait" unique="0" required="0"><content type="second" default="3"/></parameter>
  <parameter name="missing_as_off" unique="0" required="0"><content type="boolean"/></parameter>
</parameters>
<actions><action name="on"/><action name="off"/><action name="status"/><action name="monitor"/>
<action name="metadata"/></actions>
</resource-agent>
"""

HEAD = """#!{python}
import os, subprocess, sys, time
METADATA = {metadata!r}
given = dict(line.rstrip("\\n").split("=", 1) for line in sys.stdin if "=" in line)
action = given.get("action", "")
here = {folder!r}
if action == "metadata" or sys.argv[1:] == ["-o", "metadata"]:
    print(METADATA)
    sys.exit(0)
with open(here + "/calls", "a") as log:
    log.write(repr(given) + "\\n")
"""


def write_agent(folder: Path, body: str, *, name: str = "fence_test", metadata: str = METADATA) -> Path:
    """An agent whose actions are `body`: Python that sees `action`, `given` and `here`, its folder."""
    path = folder / name
    head = HEAD.format(python=sys.executable, metadata=metadata, folder=str(folder))
    path.write_text(head + body)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def calls(folder: Path) -> list[dict[str, str]]:
    """What the agents of a folder were given, call by call."""
    log = folder / "calls"
    return [eval(line) for line in log.read_text().splitlines()] if log.exists() else []


SWITCH = """
state = here + "/power-" + given.get("plug", "x")
if action == "off":
    open(state, "w").write("off")
elif action == "on":
    open(state, "w").write("on")
elif action == "status":
    sys.exit(2 if os.path.exists(state) and open(state).read() == "off" else 0)
elif action != "monitor":
    sys.exit(1)
"""
"""A switch that remembers what each plug is."""
