"""What a unit says of itself, in words; and what the cluster tells systemd about it in a file.

The file is a drop-in below /run, gone after a boot: while the cluster has the unit, systemd does not
restart it by itself, and at the machine's shutdown leaves it to the node's agent to stop.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RUNTIME = Path("/run/systemd/system")
"""Where units and their drop-ins lie until the next boot (systemd.unit(5))."""
DROP_IN = "90-clusterweb.conf"
AGENT = "clusterweb-agent.service"
UP = frozenset({"active", "reloading", "refreshing"})
DOWN = frozenset({"inactive", "failed"})
SUFFIXES = ("service", "socket", "target", "timer", "path", "mount")
UNIT_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]+")
JOURNAL = ("journalctl",)

_RESULTS = {
    "timeout": "it did not do so in the time that its unit gives it",
    "watchdog": "its watchdog was not fed in time",
    "oom-kill": "the kernel ended it for want of memory",
    "start-limit-hit": "it was started too often in a short time",
    "resources": "systemd lacked something for it, as the journal says",
    "protocol": "it did not say that it was ready, as its unit demands",
    "core-dump": "it crashed and left a core dump",
}


def full_name(name: str, parameters: str) -> str:
    """The unit that the properties name: "nginx" is nginx.service; a template gets its instance."""
    kind = name.rpartition(".")[2]
    if kind not in SUFFIXES:
        name, kind = f"{name}.service", "service"
    stem = name.removesuffix(f".{kind}")
    return f"{stem}{escaped(parameters)}.{kind}" if stem.endswith("@") else name


def escaped(text: str) -> str:
    """As systemd-escape(1) writes an instance."""
    plain = "".join(
        "-" if c == "/" else c if c.isascii() and (c.isalnum() or c in ":_.") else _hex(c) for c in text
    )
    return f"\\x2e{plain[1:]}" if plain.startswith(".") else plain


def _hex(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


def why(unit: Mapping[str, Any], service: Mapping[str, Any]) -> str:
    """How a unit that is not up came to be so, as half a sentence; empty where it does not say."""
    result = str(service.get("Result", ""))
    status = int(service.get("ExecMainStatus", 0) or 0)
    if result == "exit-code":
        ended = int(service.get("ExecMainCode", 0) or 0)
        return f"exit code {status}" if ended == 1 and status else "one of its commands failed"
    if result in ("signal", "core-dump") and status:
        with contextlib.suppress(ValueError):
            return f"signal {status} ({signal.Signals(status).name})"
    if result == "success" and unit.get("ConditionResult") is False and unit.get("ConditionTimestamp"):
        return "a condition of its unit is not met"
    if result == "success" and unit.get("ActiveState") == "inactive":
        return "it ended by itself, without an error"
    return _RESULTS.get(result, "" if result == "success" else result)


def drop_in(environment: Mapping[str, str], *, is_service: bool) -> str:
    """What systemd is told about a unit while the cluster has it."""
    lines = [
        "# Written by ClusterWeb while a resource of it has this unit; removed after that.",
        "[Unit]",
        f"Before={AGENT}",
    ]
    if is_service:
        lines += ["", "[Service]", "Restart=no"]
        lines += [f"Environment={_quoted(f'{name}={value}')}" for name, value in sorted(environment.items())]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + "".join(c if c.isprintable() else " " for c in text) + '"'


def write_drop_in(unit: str, text: str) -> bool:
    """Write the drop-in of a unit; True where it was another one, so that systemd has to read it."""
    path = RUNTIME / f"{unit}.d" / DROP_IN
    with contextlib.suppress(OSError):
        if path.read_text() == text:
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return True


def remove_drop_in(unit: str) -> bool:
    """Remove it; True where there was one."""
    path = RUNTIME / f"{unit}.d" / DROP_IN
    if not path.exists():
        return False
    path.unlink()
    with contextlib.suppress(OSError):
        path.parent.rmdir()
    return True


def runs(pid: int, unit: str) -> bool:
    """True where that process lives, and belongs to the unit."""
    with contextlib.suppress(OSError):
        return any(unit in line.split("/") for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines())
    return False


def read_journal(unit: str, log: Path) -> subprocess.Popen[bytes] | None:
    """Start to append the lines of a unit in the journal, from now on, to a log; None without a journal.

    The process ends with its parent.
    """
    if shutil.which(JOURNAL[0]) is None or shutil.which("setpriv") is None:
        return None
    command = [
        *("setpriv", "--pdeathsig", "KILL", "--"),
        *JOURNAL,
        *("--follow", "--no-pager", "--quiet", "--no-hostname", "--lines=1000"),
        *(f"--since=@{time.time():.6f}", f"--unit={unit}"),
    ]
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "TZ") if name in os.environ}
    with log.open("ab") as output:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.DEVNULL
        )


def stop_reading(reader: subprocess.Popen[bytes]) -> None:
    reader.kill()
    reader.wait()
