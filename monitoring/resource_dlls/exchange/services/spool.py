"""A durable queue of mail on its way elsewhere: in the store, and in the transfer agent."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

SCHEMA = """
CREATE TABLE IF NOT EXISTS outbound (
    id INTEGER PRIMARY KEY AUTOINCREMENT, since REAL NOT NULL,
    sender TEXT NOT NULL, recipient TEXT NOT NULL, data BLOB NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A mail for one recipient elsewhere; `since`: seconds since 1970, when it was queued."""

    id: int
    since: float
    sender: str
    recipient: str
    data: bytes


class Spool:
    """The queue, oldest first. `writing` opens a durable transaction."""

    def __init__(
        self, database: sqlite3.Connection, writing: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._db = database
        self._writing = writing

    def insert(self, sender: str, recipients: Sequence[str], data: bytes) -> None:
        """Queue a mail, within a transaction of the caller's."""
        self._db.executemany(
            "INSERT INTO outbound (since, sender, recipient, data) VALUES (?, ?, ?, ?)",
            [(time.time(), sender, recipient, data) for recipient in recipients],
        )

    def add(self, sender: str, recipients: Sequence[str], data: bytes) -> None:
        """Queue a mail; it is on disk when this returns."""
        with self._writing():
            self.insert(sender, recipients, data)

    def ids(self) -> list[int]:
        return [number for (number,) in self._db.execute("SELECT id FROM outbound ORDER BY id")]

    def get(self, number: int) -> Parcel | None:
        row = self._db.execute("SELECT * FROM outbound WHERE id = ?", (number,)).fetchone()
        return Parcel(*row) if row else None

    def remove(self, number: int) -> None:
        """The mail is on disk elsewhere."""
        with self._writing():
            self._db.execute("DELETE FROM outbound WHERE id = ?", (number,))
