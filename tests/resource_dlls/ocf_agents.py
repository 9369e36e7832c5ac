"""OCF agents for tests: a root of their own, with agents written for the test or the real ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitoring.resource_dlls import registry

REAL_ROOT = Path("/usr/lib/ocf")
ALL = frozenset({"start", "stop", "monitor", "validate-all", "meta-data"})

METADATA = """<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="{name}" version="1.0"><version>1.1</version>
<longdesc lang="en">A resource for tests.</longdesc><shortdesc lang="en">test resource</shortdesc>
<parameters>{parameters}</parameters>
<actions>{actions}</actions></resource-agent>"""

SCRIPT = """#!/bin/sh
if [ "$1" = meta-data ]; then cat <<'END'
{metadata}
END
exit 0; fi
{body}
"""

CHECKED = """
F=$OCF_RESKEY_folder
[ -n "$F" ] || exit 6
echo "$1 level=$OCF_CHECK_LEVEL interval=$OCF_RESKEY_CRM_meta_interval" >> "$F/calls"
[ -e "$F/$1.hang" ] && { echo "$1 is waiting for Godot"; sleep 60 & wait; }
if [ -e "$F/$1.code" ]; then
    echo "ocf-exit-reason:$1 was told to, password $OCF_RESKEY_password" >&2
    exit $(cat "$F/$1.code")
fi
case "$1" in
    start) env > "$F/environment"; touch "$F/running"; exit 0 ;;
    stop) rm -f "$F/running"; exit 0 ;;
    monitor) [ -e "$F/running" ] && exit 0; exit 7 ;;
    validate-all) exit 0 ;;
esac
exit 3
"""
"""Runs by a file in the folder that it is given; `ACTION.code` and `ACTION.hang` are its faults."""


def parameter(name: str, kind: str = "string", *, attributes: str = "", default: str | None = None) -> str:
    given = "" if default is None else f' default="{default}"'
    return (
        f'<parameter name="{name}" {attributes}><longdesc lang="de">Etwas.</longdesc>'
        f'<longdesc lang="en">The {name} of it.</longdesc>'
        f'<shortdesc lang="en">{name}</shortdesc><content type="{kind}"{given}/></parameter>'
    )


def actions(names: frozenset[str] = ALL, monitors: str = "") -> str:
    plain = "".join(f'<action name="{name}" timeout="20s" />' for name in sorted(names))
    return plain + monitors


def write_agent(
    root: Path,
    name: str,
    *,
    body: str = CHECKED,
    parameters: str | None = None,
    offered: str | None = None,
    metadata: str | None = None,
) -> Path:
    """An agent of the provider "test" under `root`."""
    if parameters is None:
        parameters = parameter("folder", attributes='required="1" unique="1"') + parameter("password")
    if metadata is None:
        metadata = METADATA.format(name=name, parameters=parameters, actions=offered or actions())
    path = root / "resource.d" / "test" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SCRIPT.format(metadata=metadata, body=body))
    path.chmod(0o755)
    return path


def use_root(monkeypatch: pytest.MonkeyPatch, root: Path, cache: Path) -> None:
    """Let this process find the agents under `root`."""
    monkeypatch.setenv("CLUSTERWEB_OCF_ROOT", str(root))
    monkeypatch.setenv("CLUSTERWEB_OCF_CACHE", str(cache))
    registry.refresh()


def use_real_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process find the agents of the package, which are asked once for all tests."""
    if not (REAL_ROOT / "resource.d" / "heartbeat").is_dir():
        pytest.skip("needs the package resource-agents (make packages)")
    use_root(monkeypatch, REAL_ROOT, Path(os.environ["CLUSTERWEB_HOME"]) / "ocf-of-the-package")
