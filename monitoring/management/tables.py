"""Plain text for a terminal: aligned tables, durations, states in colour where there is one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from django.core.management.color import Style

GOOD = frozenset({"Online", "Up", "Done", "done"})
BAD = frozenset({"Failed", "Down", "failed", "Error", "Severe"})
UNSETTLED = frozenset(
    {
        "Pending",
        "Online Pending",
        "Offline Pending",
        "Partial Online",
        "Paused",
        "Joining",
        "Warning",
        "running",
    }
)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], style: Style) -> str:
    """Columns as wide as their widest cell; the last one is not padded, and cut to the terminal."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    room = _terminal_width() - sum(widths[:-1]) - 2 * len(widths[:-1])
    rows = [[*row[:-1], cut(row[-1], room)] for row in rows]
    lines = [style.MIGRATE_LABEL(_line(head, widths))]
    lines += [
        "  ".join(
            coloured(cell, cell.ljust(width), style) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _terminal_width() -> int:
    """Columns of the terminal; a file or a pipe has no end."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def cut(text: str, room: int) -> str:
    """`text`, ending in an ellipsis where it is longer than `room`, which is 20 at least."""
    room = max(room, 20)
    return text if len(text) <= room else text[: room - 1] + "…"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def coloured(state: str, text: str, style: Style) -> str:
    """`text` in the colour of a state; as it is where `state` is none."""
    if state in GOOD:
        return style.SUCCESS(text)
    if state in BAD:
        return style.ERROR(text)
    return style.WARNING(text) if state in UNSETTLED else text


def since(at: datetime | None) -> str:
    """How long something has been so: the two largest units."""
    return "" if at is None else duration((datetime.now(UTC) - at).total_seconds())


def duration(seconds: float | None) -> str:
    """A duration as an operator says it: 0.4 s, 12 s, 3 min 5 s, 2 h 1 min, 5 d 3 h."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = int(seconds)
    days, hours, minutes, rest = whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next(index for index, (number, _) in enumerate(parts) if number)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number)


def milliseconds(ms: float) -> str:
    """A time of calls: 0.42 ms, 12.3 ms, 4.8 s."""
    return f"{ms:.3g} ms" if ms < 1000 else duration(ms / 1000)


def clock_time(at: datetime) -> str:
    """Local time of day; with the date where that is not today."""
    local = at.astimezone()
    today = datetime.now(UTC).astimezone().date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M:%S}"
