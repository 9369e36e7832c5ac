"""A Python environment of a cluster's own: all that the tests' has, and what pip installs into it besides."""

from __future__ import annotations

import subprocess
import sysconfig
import venv
from pathlib import Path


def make(folder: Path) -> str:
    """The interpreter of a new environment in the folder. Takes a tenth of a second."""
    venv.create(folder, symlinks=True)
    python = str(folder / "bin" / "python")
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    line = f"import site; site.addsitedir({sysconfig.get_paths()['purelib']!r})\n"
    (Path(paths["purelib"]) / "of-the-tests.pth").write_text(line)
    return python


def pip(python: str, *words: str) -> None:
    """Run pip there, without any registry."""
    done = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", *words],
        capture_output=True,
        text=True,
        timeout=100,
        env={"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def install(python: str, package: Path) -> None:
    pip(python, "install", "--no-build-isolation", "--no-deps", str(package))


def startdll(python: str, root: Path, name: str, folder: Path) -> Path:
    """The folder of a new plugin."""
    done = subprocess.run(
        [python, str(root / "manage.py"), "startdll", name, "--directory", str(folder)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return folder / name
