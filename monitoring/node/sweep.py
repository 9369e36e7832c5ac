"""Takes back what dead resources left on the node that is no process: addresses, mounts.

    python -m monitoring.node.sweep HOME

A resource whose DLL has something to sweep is noted in HOME/sweep before it comes online and
struck out once it is down. The guard runs this module where the agent cannot do it; a new
agent calls `sweep_all` before its first heartbeat.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from monitoring.resource_dlls import registry
from monitoring.resource_dlls.api import ResourceDLL

logger = logging.getLogger(__name__)


class SweepNotes:
    """The notes in HOME/sweep: one file a resource, named by its id, holding its type."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "sweep"
        self._home = home

    def add(self, resource: int, dll: type[ResourceDLL]) -> None:
        if dll.sweep.__func__ is not ResourceDLL.sweep.__func__:  # type: ignore[attr-defined]
            self._folder.mkdir(exist_ok=True)
            (self._folder / str(resource)).write_text(dll.type_name)

    def strike(self, resource: int) -> None:
        (self._folder / str(resource)).unlink(missing_ok=True)

    def sweep_all(
        self, types: Mapping[str, type[ResourceDLL]], keep: Collection[int] = frozenset()
    ) -> list[str]:
        """Sweep whatever is noted, but for resources to keep; return a sentence for each that failed,
        whose note stays.

        What came online last goes first: it may stand on what came before, as a file system does
        on its device. What failed is tried once more where others are gone meanwhile.
        """
        noted = [resource for resource in self._newest_first() if resource not in keep]
        problems = {resource: self.sweep(resource, types) for resource in noted}
        if not all(problems.values()):
            left = [resource for resource, problem in problems.items() if problem]
            problems = {resource: self.sweep(resource, types) for resource in left}
        return [problem for problem in problems.values() if problem]

    def _newest_first(self) -> list[int]:
        notes = list(self._folder.glob("*")) if self._folder.is_dir() else []
        return [int(note.name) for note in sorted(notes, key=lambda n: n.stat().st_mtime_ns, reverse=True)]

    def is_noted(self, resource: int) -> bool:
        return (self._folder / str(resource)).exists()

    def sweep(self, resource: int, types: Mapping[str, type[ResourceDLL]]) -> str:
        """Sweep a resource where it is noted; a sentence where that failed."""
        note = self._folder / str(resource)
        if not self.is_noted(resource):
            return ""
        type_name = note.read_text()
        try:
            types[type_name].sweep(state_dir(self._home, resource))
            note.unlink(missing_ok=True)
        except Exception as error:
            logger.exception("sweep of resource %s", resource)
            return f"resource {resource} ({type_name}) could not be swept: {error}"
        return ""


def state_dir(home: Path, resource: int) -> Path:
    """The folder of this node for one resource."""
    return home / "resources" / str(resource)


def main() -> int:
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    return 1 if SweepNotes(Path(sys.argv[1])).sweep_all(registry.all_types()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
