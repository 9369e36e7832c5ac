"""Messages that were refused: counted for their node, or for nobody where no member sent them.

Whoever floods the service with them is to cost little: the counts of a second are written
and logged together.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter

from django.db import DatabaseError, connection
from django.db.models import F

from monitoring.models import Cluster, Node
from monitoring.service import clock

log = logging.getLogger(__name__)

GATHER = 1.0
"""Seconds whose refusals are written together; 0 to write each at once."""
SHOWN = 300
"""Characters of a reason in the log."""

_lock = threading.Lock()
_counts: Counter[int | None] = Counter()
_reason = ""
_written = float("-inf")
_timer: threading.Timer | None = None


def count(node: int | None, reason: str) -> None:
    """Count a message that was not taken; `node` is the member that it names, None for a stranger's."""
    global _reason, _timer
    with _lock:
        _counts[node] += 1
        _reason = reason
        if clock.monotonic() - _written >= GATHER:
            _write()
        elif _timer is None:
            _timer = threading.Timer(GATHER, _write_later)
            _timer.daemon = True
            _timer.start()


def _write_later() -> None:
    global _timer
    with _lock:
        _timer = None
        _write()
    connection.close()  # that of the timer's thread


def _write() -> None:
    """Add what was gathered to the rows. What cannot be written now is written with the next."""
    global _written
    _written = clock.monotonic()
    try:
        for node, number in list(_counts.items()):
            rows = Cluster.objects.all() if node is None else Node.objects.filter(pk=node)
            rows.update(refused_messages=F("refused_messages") + number)
            del _counts[node]
            who = "from no member" if node is None else f"in the name of node {node}"
            log.warning("%d messages %s were refused, the last: %s", number, who, ascii(_reason)[:SHOWN])
    except DatabaseError as error:
        log.warning("refused messages could not be counted: %s", error)
