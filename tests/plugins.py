"""Plugins for tests, installed into a folder of the test's own as pip leaves them there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitoring.resource_dlls import registry

SOURCE = """
from monitoring.resource_dlls.api import Property, ResourceDLL

class QueueServer(ResourceDLL):
    type_name = {type_name!r}
    description = "Keeps what it is given in order."
    icon = "no-such-icon"
    properties = (
        Property("Port", kind="port", default=5672, help="where clients connect"),
        Property("Password", secret=True, help="what they have to know"),
    )
    def online(self): pass
    def terminate(self): pass
    def is_alive(self): return True
"""


class Site:
    """A folder of the search path. `install` puts a distribution of one module there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, module: str, source: str = "", value: str = "", version: str = "1.2") -> None:
        (self.folder / f"{module}.py").write_text(source or SOURCE.format(type_name="Queue Server"))
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: {version}\n")
        entry = f"{module} = {value or f'{module}:QueueServer'}\n"
        (info / "entry_points.txt").write_text(f"[{registry.ENTRY_POINT_GROUP}]\n{entry}")
        (info / "RECORD").write_text("")


@contextmanager
def site(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Plugins are looked for in the folder; what was found there is forgotten after."""
    folder.mkdir()
    with monkeypatch.context() as path:
        path.setattr("monitoring.resource_dlls.registry.LOOK_EVERY", 0.0)
        path.syspath_prepend(str(folder))
        registry.refresh()
        yield Site(folder)
    registry.refresh()
