"""Looks for the resource's secrets where others can read."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from monitoring.conformance.report import Failure, NotApplicable
from monitoring.conformance.subject import Subject

SHORTEST = 4
"""Characters from which on a secret can be told from other words."""
MOST_READ = 1 << 20


async def command_lines(pids: Iterable[int]) -> set[str]:
    """What everybody on the machine sees of processes."""
    found = set()
    for pid in pids:
        with suppress(OSError):
            found.add((Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace"))
    return found


@contextmanager
def heard() -> Iterator[list[str]]:
    """All that is logged meanwhile, in this process."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(handler)


def check(subject: Subject, told: Iterable[str], seen: Iterable[str], state_dirs: Iterable[Path]) -> None:
    """Failure where a secret stands in a text, on a command line, or in output that operators read."""
    secrets = {
        prop.name: str(value)
        for prop in subject.dll.properties
        if prop.secret and len(str(value := subject.resource.properties.get(prop.name) or "")) >= SHORTEST
    }
    if not secrets:
        has_any = any(prop.secret for prop in subject.dll.properties)
        raise NotApplicable(
            "no secret property was given a value of four characters or more"
            if has_any
            else "it has no secret property"
        )
    for name, secret in secrets.items():
        for text in told:
            if secret in text:
                raise Failure(
                    f"{name} stands in a text: {text.replace(secret, '…')[:200]}", "leave it out of texts"
                )
        if any(secret in line for line in seen):
            raise Failure(
                f"{name} stands on a command line",
                "hand it over in a file that only the service reads, or on a pipe",
            )
        for output in _outputs(state_dirs):
            if secret.encode() in output:
                raise Failure(
                    f"{name} stands in the output of its processes", "operators read output.log: keep it out"
                )


def _outputs(folders: Iterable[Path]) -> Iterator[bytes]:
    for folder in folders:
        with suppress(OSError):
            yield (folder / "output.log").read_bytes()[:MOST_READ]
