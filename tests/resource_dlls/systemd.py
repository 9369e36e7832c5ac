"""A real systemd for tests: process 1 of a PID namespace of its own, on a D-Bus daemon of its own.

It sees the machine's files, a `/run`, `/etc/systemd` and cgroup tree of its own, and no units but those
of the test. Its bus is a socket in the test's folder. Needs root and a mounted cgroup v2.
"""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from tests.resource_dlls.context import wait_until

BINARY = Path("/lib/systemd/systemd")
CGROUPS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))

SETUP = """
set -e
mount --make-rprivate /
for kind in run:/run etc:/etc/systemd; do mount --bind "$FOLDER/${kind%%:*}" "${kind#*:}"; done
mount --bind "$CONSOLE" /dev/console
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
exec env -i container=test "PATH=$PATH" DBUS_SYSTEM_BUS_ADDRESS="unix:path=$FOLDER/bus" \
  SYSTEMD_UNIT_PATH=/run/systemd/transient:/etc/systemd/system:/run/systemd/system \
  SYSTEMD_GENERATOR_PATH=/nonexistent SYSTEMD_ENVIRONMENT_GENERATOR_PATH=/nonexistent \
  /lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=no
"""

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>systemd:</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="*"/><allow receive_type="*"/>
<allow send_destination="*"/></policy></busconfig>
"""

JOURNAL = "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRuntimeMaxUse=16M\n"

UNITS = {
    **{f"{name}.target": "[Unit]\nDefaultDependencies=no\n" for name in ("sysinit", "basic", "shutdown")},
    "test.target": (
        "[Unit]\nRequires=dbus.service systemd-journald.service\n"
        "After=dbus.service systemd-journald.service\n"
    ),
    "systemd-journald.socket": (
        "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/systemd/journal/stdout\n"
        "ListenDatagram=/run/systemd/journal/socket\n"
    ),
    "systemd-journald.service": (
        "[Unit]\nDefaultDependencies=no\nRequires=systemd-journald.socket\nAfter=systemd-journald.socket\n"
        "[Service]\nType=notify\nExecStart=/lib/systemd/systemd-journald\nSockets=systemd-journald.socket\n"
        "FileDescriptorStoreMax=4224\n"
    ),
    "dbus.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream={bus}\n",
    "dbus.service": (
        "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\nAfter=dbus.socket\n"
        "[Service]\nExecStart=/usr/bin/dbus-daemon --config-file={folder}/bus.conf --nofork --nopidfile\n"
    ),
}


def unified() -> Path | None:
    """Where cgroup v2 is mounted; None where it is not."""
    return next((path for path in CGROUPS if (path / "cgroup.procs").exists()), None)


def missing() -> str:
    """What keeps a machine from running one; "" for nothing."""
    if os.geteuid() != 0:
        return "needs root, to make namespaces"
    if not BINARY.exists() or shutil.which("dbus-daemon") is None:
        return "needs the packages systemd and dbus (make packages)"
    return "" if unified() is not None else "needs cgroup v2 (mounted, or as the hybrid layout has it)"


class Systemd:
    """A service manager that runs until `stop`. `unit` adds a unit, `run` calls systemctl on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bus = f"unix:path={folder}/bus"
        self._units = folder / "etc" / "system"
        self._units.mkdir(parents=True)
        (folder / "run" / "systemd").mkdir(parents=True)
        (folder / "bus.conf").write_text(BUS)
        (folder / "etc" / "journald.conf").write_text(JOURNAL)
        for name, text in UNITS.items():
            (self._units / name).write_text(text.format(bus=folder / "bus", folder=folder))
        root = unified()
        assert root is not None, "no cgroup v2 is mounted"
        self._cgroup = root / f"clusterweb-systemd.{os.getpid()}.{time.monotonic_ns()}"
        self._cgroup.mkdir()
        self._console, terminal = pty.openpty()
        self.said = bytearray()
        threading.Thread(target=self._read, daemon=True).start()
        self._process = subprocess.Popen(
            [
                "unshare",
                *["--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup", "--kill-child"],
                "sh",
                "-c",
                SETUP,
            ],
            env={**os.environ, "FOLDER": str(folder), "CONSOLE": os.ttyname(terminal)},
            preexec_fn=lambda: (self._cgroup / "cgroup.procs").write_text(str(os.getpid())),
        )
        wait_until(self._answers, 20)
        os.close(terminal)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._console, 65536):
                self.said += data

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.said.decode(errors="replace")
        answer = subprocess.run(
            ["busctl", f"--address={self.bus}", "status", "org.freedesktop.systemd1"],
            capture_output=True,
            check=False,
        )
        return answer.returncode == 0 and any(self.folder.glob("run/log/journal/*/system.journal"))

    @property
    def journal(self) -> str:
        """The folder that its journal lies in."""
        return str(next(self.folder.glob("run/log/journal/*")))

    def unit(self, name: str, text: str) -> str:
        """Add a unit, or change one."""
        (self._units / name).write_text(text)
        self.run("daemon-reload")
        return name

    def run(self, *words: str) -> str:
        """What systemctl says."""
        pid = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().strip()
        done = subprocess.run(
            ["nsenter", f"--target={pid}", "--mount", "--pid", "systemctl", "--no-pager", *words],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return (done.stdout + done.stderr).strip()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        kill = self._cgroup / "cgroup.kill"
        if kill.exists():
            kill.write_text("1")
        for path in sorted(self._cgroup.rglob("*"), key=lambda found: -len(found.parts)):
            if path.is_dir():
                wait_until(lambda path=path: _removed(path), 5)
        wait_until(lambda: _removed(self._cgroup), 5)
        with contextlib.suppress(OSError):
            os.close(self._console)


def _removed(path: Path) -> bool:
    with contextlib.suppress(OSError):
        path.rmdir()
    return not path.exists()
